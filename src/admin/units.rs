//! Numbers in sentences and tables, for people.

/// A number of things, in English.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A number of bytes, to two or three digits.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut number, mut units) = (bytes as f64 / 1024.0, UNITS.iter());
    let mut unit = units.next();
    // What is shown with three digits is less than a thousand.
    while number >= 999.5
        && let Some(next) = units.next()
    {
        number /= 1024.0;
        unit = Some(next);
    }
    let digits = usize::from(number < 9.95);
    format!("{number:.digits$} {}", unit.unwrap_or(&""))
}

/// A time in seconds, by its two largest units.
pub(super) fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {smaller}"),
    };
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits() {
        for (number, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 << 10, "10 KiB"),
            (1 << 20, "1.0 MiB"),
            (1_572_864, "1.5 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(number), shown);
        }
    }

    #[test]
    fn times_have_their_two_largest_units() {
        for (seconds, shown) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(time(seconds), shown);
        }
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(counted(1, "session"), "1 session");
        assert_eq!(counted(0, "session"), "0 sessions");
    }
}
