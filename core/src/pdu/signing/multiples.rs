//! Multiples of a point, kept so that it can be multiplied by any number in a few additions.
//!
//! A number is read as digits of `WIDTH` bits. Every `PLACES` digits share a row, with the point's
//! first multiples at the place of the first of them; a digit costs one addition, and moving all
//! sums on by one place costs a multiplication by 2^`WIDTH`. The time depends on the number: for
//! verification, where nothing is secret.

use std::iter;

use curve25519_dalek::{edwards::EdwardsPoint, scalar::Scalar, traits::Identity};

/// The most digits that a number has, for a width of at least six.
const DIGITS_MAX: usize = 43;

/// The kept multiples of one point.
#[derive(Clone)]
pub(super) struct Multiples<const WIDTH: usize, const PLACES: usize>(Box<[EdwardsPoint]>);

impl<const WIDTH: usize, const PLACES: usize> Multiples<WIDTH, PLACES> {
    /// A digit is at most this large, and at least as small.
    const ROW: usize = 1 << (WIDTH - 1);
    const ROWS: usize = 256_usize.div_ceil(WIDTH).div_ceil(PLACES);

    pub(super) fn of(point: &EdwardsPoint) -> Self {
        let next_base = |base: &EdwardsPoint| Some(doubled(*base, WIDTH * PLACES));
        let bases = iter::successors(Some(*point), next_base).take(Self::ROWS);
        let row = |base| iter::successors(Some(base), move |multiple| Some(multiple + base));
        Self(bases.flat_map(|base| row(base).take(Self::ROW)).collect())
    }

    /// The point times this number.
    pub(super) fn times(&self, number: &Scalar) -> EdwardsPoint {
        let digits = digits::<WIDTH>(number);
        let of_place = |place| {
            let rows = self.0.chunks_exact(Self::ROW);
            let digits = digits.iter().skip(place).step_by(PLACES);
            rows.zip(digits).fold(EdwardsPoint::identity(), add_digit)
        };
        let places = (0..PLACES).rev().map(of_place);
        let sum = places.reduce(|sum, of_place| doubled(sum, WIDTH) + of_place);
        sum.unwrap_or_default()
    }
}

fn add_digit(sum: EdwardsPoint, (row, digit): (&[EdwardsPoint], &i16)) -> EdwardsPoint {
    let multiple = usize::from(digit.unsigned_abs())
        .checked_sub(1)
        .and_then(|index| row.get(index));
    match multiple {
        Some(multiple) if *digit < 0 => sum - multiple,
        Some(multiple) => sum + multiple,
        None => sum,
    }
}

fn doubled(point: EdwardsPoint, times: usize) -> EdwardsPoint {
    let by_eight = (0..times / 3).fold(point, |point, _| point.mul_by_cofactor());
    (0..times % 3).fold(by_eight, |point, _| point + point)
}

/// From the lowest on; each is at most half of 2^`WIDTH` away from zero: a larger one becomes
/// negative and adds one to the next. Nothing is carried out of the last, since numbers have 253
/// bits.
fn digits<const WIDTH: usize>(number: &Scalar) -> [i16; DIGITS_MAX] {
    let bytes = number.as_bytes();
    let mut digits = [0; DIGITS_MAX];
    let mut carry = 0;
    for (index, slot) in digits.iter_mut().enumerate() {
        let (byte, bit) = (index * WIDTH / 8, index * WIDTH % 8);
        let [low, high] = [byte, byte + 1].map(|at| i32::from(bytes.get(at).copied().unwrap_or(0)));
        let digit = ((low | high << 8) >> bit & ((1 << WIDTH) - 1)) + carry;
        carry = i32::from(digit > 1 << (WIDTH - 1));
        *slot = (digit - (carry << WIDTH)) as i16;
    }
    digits
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as BASE;
    use proptest::{prelude::*, test_runner::Config};

    use super::*;

    fn numbers() -> impl Strategy<Value = Scalar> {
        let small = any::<u64>().prop_map(Scalar::from);
        let negative = any::<u64>().prop_map(|number| -Scalar::from(number));
        let any = any::<[u8; 32]>().prop_map(Scalar::from_bytes_mod_order);
        prop_oneof![small, negative, any]
    }

    proptest! {
        #![proptest_config(Config { cases: 32, failure_persistence: None, ..Config::default() })]

        #[test]
        fn products_are_those_of_the_library(of in numbers(), by in numbers()) {
            let point = BASE * of;
            prop_assert_eq!(Multiples::<6, 2>::of(&point).times(&by), point * by);
            prop_assert_eq!(Multiples::<8, 1>::of(&point).times(&by), point * by);
        }
    }
}
