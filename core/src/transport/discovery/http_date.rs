//! The dates of HTTP headers (RFC 9110, "Date/Time Formats"): only the form that may be sent.

use crate::time::WallTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment such as `Sun, 06 Nov 1994 08:49:37 GMT`; none before 1970.
pub(super) fn parse(text: &str) -> Option<WallTime> {
    let (_, date) = text.split_once(", ")?;
    let parts: Vec<&str> = date.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second, "GMT"] = parts.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|name| name == month)? as u64 + 1;
    let days = days_since_1970(number(year, 9999)?, month, number(day, 31)?)?;
    let seconds = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 60)?;
    Some(WallTime((days * 86_400 + seconds) * 1000))
}

fn number(digits: &str, max: u64) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| *number <= max);
    number.filter(|_| is_number)
}

/// Days are counted from 1 March, so that the odd day of a leap year is the last of all.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const UNTIL_1970: u64 = 719_468;
    let (year, month) = match month {
        0..=2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month - 3),
    };
    let before_the_year = year * 365 + year / 4 - year / 100 + year / 400;
    let before_the_month = (153 * month + 2) / 5;
    (before_the_year + before_the_month + day).checked_sub(UNTIL_1970 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_to_the_second() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
        ] {
            assert_eq!(parse(text), Some(WallTime(seconds * 1000)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
