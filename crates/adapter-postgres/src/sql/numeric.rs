//! `numeric` as PostgreSQL receives it (source, `numeric_recv`): number of digits, weight of the first one, sign, and
//! digits after the point that are shown, then the digits themselves; a digit is a number below 10,000, and everything
//! has 16 bits.

use bytes::{BufMut, BytesMut};

/// Decimal digits in one digit of a `numeric`.
const GROUP: i32 = 4;

const NEGATIVE: i16 = 0x4000;

/// Digits after the point that a `numeric` can show (`NUMERIC_DSCALE_MASK`).
const MOST_SHOWN: i16 = 0x3FFF;

/// Appends length and bytes of a decimal number: `[+-]digits[.digits][e[+-]digits]`. `None` when it is none, or none of
/// a bearable size.
pub(crate) fn put_numeric(out: &mut BytesMut, text: &str) -> Option<()> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let mark = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = unsigned.split_at(mark.unwrap_or(unsigned.len()));
    let exponent: i32 = match exponent {
        [] => 0,
        [_, digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
    };
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let fraction = point.map_or(0, |point| mantissa.len() - point - 1);
    let shown = (i32::try_from(fraction).ok()? - exponent).max(0);
    let digits: Vec<u8> = mantissa.iter().filter(|byte| **byte != b'.').map(|byte| byte.wrapping_sub(b'0')).collect();
    if digits.is_empty() || digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let trailing = digits.iter().rev().take_while(|digit| **digit == 0).count();
    // Digits before the point, counted from the first one that is not 0; below 0 where zeros follow the point.
    let before = i32::try_from(digits.len() - fraction).ok()? - i32::try_from(leading).ok()? + exponent;
    let groups = groups(digits.get(leading..digits.len() - trailing).unwrap_or_default(), before);
    let (weight, sign) = match (groups.is_empty(), negative) {
        (true, _) => (0, 0),
        (false, true) => (i16::try_from((before - 1).div_euclid(GROUP)).ok()?, NEGATIVE),
        (false, false) => (i16::try_from((before - 1).div_euclid(GROUP)).ok()?, 0),
    };
    let shown = i16::try_from(shown).ok().filter(|shown| *shown <= MOST_SHOWN)?;
    out.put_i32(i32::try_from(8 + 2 * groups.len()).ok()?);
    out.put_i16(i16::try_from(groups.len()).ok()?);
    out.put_i16(weight);
    out.put_i16(sign);
    out.put_i16(shown);
    for group in groups {
        out.put_i16(group);
    }
    Some(())
}

/// Decimal digits in groups of four, as the point divides them.
fn groups(digits: &[u8], before: i32) -> Vec<i16> {
    let first = usize::try_from((before - 1).rem_euclid(GROUP) + 1).unwrap_or_default().min(digits.len());
    let (first, rest) = digits.split_at(first);
    // The first group is filled up from the right as all others are, where the number ends within it.
    let missing = |group: &[u8], size: i32| size - i32::try_from(group.len()).unwrap_or_default();
    let value = |group: &[u8], size: i32| {
        let value = group.iter().fold(0, |value, digit| value * 10 + i16::from(*digit));
        (0..missing(group, size)).fold(value, |value, _| value * 10)
    };
    let mut groups = Vec::new();
    if !first.is_empty() {
        groups.push(value(first, (before - 1).rem_euclid(GROUP) + 1));
    }
    groups.extend(rest.chunks(4).map(|group| value(group, GROUP)));
    groups
}
