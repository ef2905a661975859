//! Random bytes and names from the operating system.

use getrandom::Error;

/// `N` random bytes.
///
/// # Errors
/// When the operating system has none to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A random name of `N` lower-case letters.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn name<const N: usize>() -> Result<String, Error> {
    Ok(bytes::<N>()?
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect())
}
