//! Times as logs write them: a number or an ISO 8601 text in, seconds since 1970 out.

/// The time that a member says, given as JSON: a number of seconds, or of ms, us or ns where it is that large; or a text.
#[must_use]
pub fn time(raw: &[u8]) -> Option<f64> {
    if let Some(text) = raw.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) {
        if memchr::memchr(b'\\', text).is_some() {
            let mut plain = Vec::new();
            super::unescape::unescape(raw, 1, &mut plain, &mut super::unescape::Map::default()).ok()?;
            return seconds(&plain);
        }
        return seconds(text);
    }
    let number: f64 = std::str::from_utf8(raw).ok()?.parse().ok().filter(|number: &f64| number.is_finite())?;
    if !matches!(raw.first(), Some(b'-' | b'0'..=b'9')) {
        return None;
    }
    let unit = [(1e17, 1e9), (1e14, 1e6), (1e11, 1e3)].into_iter().find(|&(least, _)| number > least);
    Some(unit.map_or(number, |(_, unit)| number / unit))
}

/// The seconds of an ISO 8601 date and time: `2026-11-27T07:05:03.25Z`, `20261127T070503+01:00`; without a zone it is UTC.
#[must_use]
pub fn seconds(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    let (year, rest) = number(text, 4)?;
    let dashed = rest.first() == Some(&b'-');
    let separator = usize::from(dashed);
    let (month, rest) = number(rest.get(separator..)?, 2)?;
    let (day, rest) = number(rest.strip_prefix(if dashed { &b"-"[..] } else { b"" })?, 2)?;
    if !(1..=12).contains(&month) || day == 0 || day > days_of(year, month) || year == 0 {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    let Some((_, rest)) = rest.split_first() else { return Some((days * 86_400) as f64) };
    let (hour, mut rest) = number(rest, 2)?;
    let coloned = rest.first() == Some(&b':');
    let (mut minute, mut second, mut micros) = (0, 0, 0);
    if let Some((value, behind)) = next(rest, coloned) {
        (minute, rest) = (value, behind);
        if let Some((value, behind)) = next(rest, coloned) {
            (second, rest) = (value, behind);
            if let Some(digits) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
                let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
                // CPython keeps microseconds.
                let kept = std::str::from_utf8(&digits[..length.min(6)]).ok().filter(|kept| !kept.is_empty())?;
                micros = format!("{kept:0<6}").parse::<i64>().ok()?;
                rest = &digits[length..];
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone = match rest {
        b"" | b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (hours, rest) = number(rest, 2)?;
            let rest = rest.strip_prefix(b":").unwrap_or(rest);
            let (minutes, rest) = if rest.is_empty() { (0, rest) } else { number(rest, 2)? };
            if !rest.is_empty() || hours > 23 || minutes > 59 {
                return None;
            }
            let zone = hours * 3600 + minutes * 60;
            if *sign == b'-' { -zone } else { zone }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - zone;
    // One rounding, as in CPython.
    Some((seconds * 1_000_000 + micros) as f64 / 1e6)
}

/// The next two digits of a time of day.
fn next(text: &[u8], coloned: bool) -> Option<(i64, &[u8])> {
    number(if coloned { text.strip_prefix(b":")? } else { text }, 2)
}

/// The number of so many digits, and what is behind it.
fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    (year - 1970) * 365 + leaps + (1..month).map(|month| days_of(year, month)).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        for (raw, expected) in [
            ("1764227103.25", Some(1_764_227_103.25)),
            ("1764227103250", Some(1_764_227_103.25)),
            ("1764227103250000", Some(1_764_227_103.25)),
            // A float has 53 bits: of nanoseconds the last digits go.
            ("1764227103250000000", Some(1_764_227_103_250_000_000.0 / 1e9)),
            ("\"2025-11-27T07:05:03.25Z\"", Some(1_764_227_103.25)),
            ("\"2025-11-27 08:05:03.250+01:00\"", Some(1_764_227_103.25)),
            ("\"20251127T070503\"", Some(1_764_227_103.0)),
            ("\"2025-11-27\"", Some(1_764_201_600.0)),
            ("\"1970-01-01T00:00\"", Some(0.0)),
            ("\"2025-02-29\"", None),
            ("\"soon\"", None),
            ("true", None),
            ("NaN", None),
            ("{}", None),
        ] {
            assert_eq!(time(raw.as_bytes()), expected, "{raw}");
        }
    }
}
