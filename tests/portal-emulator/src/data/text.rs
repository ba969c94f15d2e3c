//! Believable texts, some with everything in them that breaks careless code.

use super::names;
use super::{Subject, below, mix, pick};

/// Whether a record speaks Russian; two of three do.
fn russian(subject: &Subject<'_>) -> bool {
    !subject.roll(0x6c61_6e67).is_multiple_of(3)
}

/// Picks from the list of the record's language.
pub(crate) fn word(
    subject: &Subject<'_>,
    salt: u64,
    ru: &'static [&'static str],
    en: &'static [&'static str],
) -> &'static str {
    pick(subject.roll(salt), if russian(subject) { ru } else { en })
}

/// Whether the person is a woman.
fn female(subject: &Subject<'_>) -> bool {
    subject.roll(0x7365_7878).is_multiple_of(2)
}

pub(crate) fn first_name(subject: &Subject<'_>, salt: u64) -> String {
    let ru = if female(subject) { names::RU_FEMALE } else { names::RU_MALE };
    word(subject, salt, ru, names::EN_FIRST).to_owned()
}

pub(crate) fn second_name(subject: &Subject<'_>, salt: u64) -> String {
    let ru = if female(subject) { names::RU_PATRONYMIC_FEMALE } else { names::RU_PATRONYMIC_MALE };
    word(subject, salt, ru, names::EN_MIDDLE).to_owned()
}

pub(crate) fn last_name(subject: &Subject<'_>, salt: u64) -> String {
    let mut name = word(subject, salt, names::RU_LAST, names::EN_LAST).to_owned();
    if russian(subject) && female(subject) {
        name.push('а');
    }
    name
}

pub(crate) fn company_name(subject: &Subject<'_>, salt: u64) -> String {
    let form = subject.roll(salt ^ 0xf0);
    if russian(subject) {
        let name = word(subject, salt, names::RU_COMPANY, names::EN_COMPANY);
        format!("{} «{name}»", pick(form, names::RU_COMPANY_FORM))
    } else {
        let name = word(subject, salt, names::RU_COMPANY, names::EN_COMPANY);
        format!("{name} {}", pick(form, names::EN_COMPANY_FORM))
    }
}

pub(crate) fn deal_title(subject: &Subject<'_>, salt: u64) -> String {
    let what = word(subject, salt, names::RU_DEAL, names::EN_DEAL);
    let title = match subject.roll(salt ^ 0x1d) % 4 {
        0 => format!("{what} №{}", subject.id),
        1 => format!("{what} — {}", company_name(subject, salt ^ 0x2d)),
        2 => format!("[{}] {what}", subject.roll(salt) % 900 + 100),
        _ => what.to_owned(),
    };
    odd(subject, salt, title)
}

pub(crate) fn lead_title(subject: &Subject<'_>, salt: u64) -> String {
    let title = match subject.roll(salt) % 3 {
        0 => format!("Lead #{}", subject.id),
        1 => format!("Заявка с сайта: {}", first_name(subject, salt)),
        _ => word(subject, salt, names::RU_DEAL, names::EN_DEAL).to_owned(),
    };
    odd(subject, salt, title)
}

pub(crate) fn short(subject: &Subject<'_>, salt: u64) -> String {
    let text = word(subject, salt, names::SHORT_RU, names::SHORT_EN).to_owned();
    odd(subject, salt, text)
}

pub(crate) fn street(subject: &Subject<'_>, salt: u64) -> String {
    let street = word(subject, salt, names::RU_STREET, names::EN_STREET);
    format!("{street}, {}", subject.roll(salt ^ 0x57) % 250 + 1)
}

/// A comment with BB codes and line feeds; one in some hundreds is very long.
pub(crate) fn comment(subject: &Subject<'_>, salt: u64) -> String {
    let roll = subject.roll(salt);
    let phrase = word(subject, salt, names::SHORT_RU, names::SHORT_EN);
    let text = match roll % 5 {
        0 => format!("[B]{phrase}[/B]"),
        1 => format!("\n{phrase}\n\n[LIST]\n[*]item #1\n[*]item #2 <b>&amp;</b>\n[/LIST]\n"),
        2 => format!("{phrase}\r\n[URL=https://example.com/?a=1&b=2]{phrase}[/URL]"),
        3 => format!("[I]{phrase}[/I]\t[U]{phrase}[/U]"),
        _ => phrase.to_owned(),
    };
    if subject.world.odd_values && roll % 197 == 3 {
        return text.repeat(24_000 / text.len().max(1) + usize::try_from(below(roll >> 12, 300)).unwrap_or(0));
    }
    odd(subject, salt, text)
}

/// Adds something unusual to about one text in eight, if the portal holds odd values.
fn odd(subject: &Subject<'_>, salt: u64, text: String) -> String {
    if !subject.world.odd_values {
        return text;
    }
    let roll = mix(subject.roll(salt) ^ 0x0dd);
    match roll % 104 {
        0 => format!("{text} 🎉👩‍👩‍👧"),
        1 => format!("{text} \"quoted\" 'single'"),
        2 => format!("C:\\temp\\{text}\\"),
        3 => format!("{text}\u{200b}\u{feff}\u{00a0}"),
        4 => format!("\u{202e}{text}\u{202c}"),
        5 => format!(" {text} "),
        6 => format!("{text}\n"),
        7 => format!("{text}\u{1}\u{1f}\u{7f}"),
        8 => "null".to_owned(),
        9 => format!("مرحبا {text} שלום"),
        10 => format!("'; drop table deals; -- {text}"),
        11 => format!("{text} {{\"json\": [1, 2]}} %s %d ${{x}}"),
        12 => format!("e\u{301} {text} \u{2028}"),
        _ => text,
    }
}
