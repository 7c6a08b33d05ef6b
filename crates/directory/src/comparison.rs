//! How attribute values compare when no directory server does it: the matching rules of RFC 4517, as far as people
//! files need them.

use std::cmp::Ordering;

use crate::tokens::Form;

/// caseIgnoreMatch (RFC 4517 section 4.2.11) without its Unicode normalisation, which real servers differ in: case is
/// folded, outer spaces fall away, runs of spaces count as one.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

/// A part of a substrings assertion: as [`fold`], but a space at its edge stays one.
pub(crate) fn fold_part(text: &str) -> String {
    let inner = fold(text);
    let leading = if text.starts_with(char::is_whitespace) { " " } else { "" };
    let trailing = if text.ends_with(char::is_whitespace) && !inner.is_empty() { " " } else { "" };
    format!("{leading}{inner}{trailing}")
}

/// One spelling for all spellings of a token's value, or why `value` can't be one.
pub(crate) fn normal(form: Form, value: &str) -> Result<String, &'static str> {
    let digits = |text: &str| text.chars().filter(|c| *c != ':' && !c.is_whitespace()).collect::<String>();
    match form {
        Form::Text => Some(fold(value)).filter(|text| !text.is_empty()).ok_or("it is empty"),
        Form::Number => {
            let number = value.trim();
            let all_digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            all_digits
                .then(|| without_leading_zeros(number))
                .ok_or("a decimal number is wanted (for hexadecimal, the key is \"sn:hex\")")
        }
        Form::Edipi => {
            let number = value.trim();
            let ten = number.len() == 10 && number.bytes().all(|b| b.is_ascii_digit());
            ten.then(|| number.to_owned()).ok_or("an EDIPI has ten digits")
        }
        Form::HexNumber | Form::Hex(_) => {
            let number = digits(value).to_ascii_lowercase();
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("hexadecimal digits are wanted, with or without colons");
            }
            match form {
                Form::HexNumber => Ok(without_leading_zeros(&number)),
                Form::Hex(Some(40)) if number.len() != 40 => Err("a SHA-1 fingerprint has 40 hexadecimal digits"),
                Form::Hex(Some(64)) if number.len() != 64 => Err("a SHA-256 fingerprint has 64 hexadecimal digits"),
                _ => Ok(number),
            }
        }
        Form::Octets => Err("a certificate can't be written here: use its sha256"),
    }
}

fn without_leading_zeros(number: &str) -> String {
    let number = number.trim_start_matches('0');
    if number.is_empty() { "0".to_owned() } else { number.to_owned() }
}

/// Orders `value` against `asserted` (both folded). What `asserted` is decides the rule: a point in time, an integer,
/// or else text. A value that is not of that kind has no order: a server's schema would not have let it in, and as
/// text `never` would come after every date.
pub(crate) fn order(value: &str, asserted: &str) -> Option<Ordering> {
    if let Some(asserted) = generalized_time(asserted) {
        return Some(generalized_time(value)?.cmp(&asserted));
    }
    if let Some(asserted) = integer(asserted) {
        return Some(integer(value)?.cmp(&asserted));
    }
    Some(value.cmp(asserted))
}

fn integer(text: &str) -> Option<i128> {
    // RFC 4517 section 3.3.16 has no plus sign.
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// GeneralizedTime (RFC 4517 section 3.3.13) as an instant: `YYYYMMDDHH[MM[SS]][.fraction](Z|±HH[MM])`.
pub(crate) fn generalized_time(text: &str) -> Option<jiff::Timestamp> {
    let bytes = text.as_bytes();
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = |from: usize, length: usize| text.get(from..from.checked_add(length)?)?.parse::<i16>().ok();
    let (minute, second, unit_nanos) = match digits {
        10 => (0, 0, 3_600_000_000_000_i64),
        12 => (number(10, 2)?, 0, 60_000_000_000),
        14 => (number(10, 2)?, number(12, 2)?, 1_000_000_000),
        _ => return None,
    };
    let mut rest = text.get(digits..)?;
    let mut nanos = 0_i64;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        // Nine digits are more than a nanosecond of an hour's fraction needs; further ones change nothing seen here.
        let digits = fraction.get(..length.min(9)).filter(|digits| !digits.is_empty())?;
        let scale = 10_i64.checked_pow(u32::try_from(digits.len()).ok()?)?;
        nanos =
            i64::try_from(i128::from(digits.parse::<i64>().ok()?) * i128::from(unit_nanos) / i128::from(scale)).ok()?;
        rest = fraction.get(length..)?;
    }
    let offset_minutes = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hhmm @ ..] if matches!(hhmm.len(), 2 | 4) && hhmm.iter().all(u8::is_ascii_digit) => {
            let hours = rest.get(1..3)?.parse::<i64>().ok().filter(|hours| *hours < 24)?;
            let minutes = rest.get(3..5).map_or(Some(0), |m| m.parse::<i64>().ok().filter(|m| *m < 60))?;
            let offset = hours * 60 + minutes;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let two = |from: usize| number(from, 2).and_then(|n| i8::try_from(n).ok());
    // A leap second (60) is the instant after the 59th, as POSIX counts.
    let leap = i64::from(second == 60);
    let second = i8::try_from(if second == 60 { 59 } else { second }).ok()?;
    let local =
        jiff::civil::DateTime::new(number(0, 4)?, two(4)?, two(6)?, two(8)?, i8::try_from(minute).ok()?, second, 0);
    let utc = jiff::tz::Offset::UTC.to_timestamp(local.ok()?).ok()?;
    let shift = jiff::SignedDuration::from_secs(leap - offset_minutes * 60) + jiff::SignedDuration::from_nanos(nanos);
    utc.checked_add(shift).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        for (text, folded) in
            [("  Doe.Jane  A  ", "doe.jane a"), ("JÜRGEN", "jürgen"), ("", ""), (" \t ", ""), ("a*b(c)\\", "a*b(c)\\")]
        {
            assert_eq!(fold(text), folded);
        }
        assert_eq!(fold_part(" A  B "), " a b ");
        assert_eq!(fold_part("  "), " ");
        assert_eq!(fold_part(""), "");
    }

    #[test]
    fn generalized_times_are_instants() {
        for (text, instant) in [
            ("20261124080000Z", Some("2026-11-24T08:00:00Z")),
            ("20261124080000.5Z", Some("2026-11-24T08:00:00.5Z")),
            ("20261124080000,25Z", Some("2026-11-24T08:00:00.25Z")),
            ("2026112408Z", Some("2026-11-24T08:00:00Z")),
            ("2026112408.5Z", Some("2026-11-24T08:30:00Z")),
            ("202611240801Z", Some("2026-11-24T08:01:00Z")),
            // Seen in real directories, and compared as text by some of them.
            ("202611240130+0200", Some("2026-11-23T23:30:00Z")),
            ("20261124013000-05", Some("2026-11-24T06:30:00Z")),
            ("20261231235960Z", Some("2027-01-01T00:00:00Z")),
            ("20261124080000", None),
            ("20261124", None),
            ("20261324080000Z", None),
            ("20260230080000Z", None),
            ("20261124250000Z", None),
            ("20261124080000.Z", None),
            ("20261124080000Z ", None),
            ("20261124080000+2500", None),
            ("20261124080000+020", None),
            ("never", None),
            ("", None),
        ] {
            let expected = instant.map(|instant| instant.parse::<jiff::Timestamp>().unwrap());
            assert_eq!(generalized_time(text), expected, "{text}");
        }
    }

    #[test]
    fn order_follows_the_kind_of_what_is_asserted() {
        use Ordering::{Equal, Greater, Less};
        for (value, asserted, expected) in [
            ("20261124080000z", "20261124080000z", Some(Equal)),
            ("202611240130+0200", "20261124000000z", Some(Less)),
            ("20261124000000.1z", "20261124000000z", Some(Greater)),
            // As text all of these would come after any date of our time.
            ("never", "20261124000000z", None),
            ("99999999999999", "20261124000000z", None),
            ("2026-12-01", "20261124000000z", None),
            ("9", "10", Some(Less)),
            ("-3", "2", Some(Less)),
            ("+3", "2", None),
            ("x", "2", None),
            ("b", "a", Some(Greater)),
        ] {
            assert_eq!(order(value, asserted), expected, "{value} {asserted}");
        }
    }

    #[test]
    fn spellings_of_one_value() {
        let sha1 = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33";
        assert_eq!(normal(Form::Hex(Some(40)), sha1).unwrap(), "00112233445566778899aabbccddeeff00112233");
        assert!(normal(Form::Hex(Some(64)), sha1).is_err());
        assert_eq!(normal(Form::HexNumber, "0F:A1"), normal(Form::HexNumber, "fa1"));
        assert_eq!(normal(Form::HexNumber, "00").unwrap(), "0");
        assert_eq!(normal(Form::Number, "0042").unwrap(), "42");
        assert!(normal(Form::Number, "0x2a").is_err());
        assert!(normal(Form::Edipi, "123456789").is_err());
        assert!(normal(Form::Text, "  ").is_err());
        assert!(normal(Form::Octets, "x").is_err());
    }
}
