//! Time zones as they are written after a time: offsets, abbreviations, names of the zone database, POSIX rules without summer time.

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::wire::calendar::Zone;

/// Largest hour of an offset, as `MAX_TZDISP_HOUR`.
const OFFSET_HOURS_MAX: i32 = 15;

/// Why an offset is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetError {
    Syntax,
    Range,
}

/// `+05:30`, `-8`, `+0530`, `-04:56:02`; seconds east of UTC.
pub fn parse_offset(text: &str) -> Result<i32, OffsetError> {
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(OffsetError::Syntax),
    };
    // The hours are judged before what follows them.
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let hours = rest.get(..digits).unwrap_or_default();
    if digits < rest.len() && hours.parse().is_ok_and(|hours: i32| hours > OFFSET_HOURS_MAX) {
        return Err(OffsetError::Range);
    }
    let mut parts = rest.split(':').map(|part| {
        let is_number = (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<i32>().map_err(|_| OffsetError::Syntax) } else { Err(OffsetError::Syntax) }
    });
    let first = parts.next().unwrap_or(Err(OffsetError::Syntax))?;
    let (mut minutes, mut seconds) = (parts.next().transpose()?, parts.next().transpose()?);
    if parts.next().is_some() {
        return Err(OffsetError::Syntax);
    }
    let mut hours = first;
    if minutes.is_none() && rest.len() > 2 {
        if rest.len() > 4 {
            hours = first / 10_000;
            minutes = Some(first / 100 % 100);
            seconds = Some(first % 100);
        } else {
            hours = first / 100;
            minutes = Some(first % 100);
        }
    }
    let (minutes, seconds) = (minutes.unwrap_or(0), seconds.unwrap_or(0));
    if hours > OFFSET_HOURS_MAX || minutes > 59 || seconds > 59 {
        return Err(OffsetError::Range);
    }
    Ok(sign * (hours * 3_600 + minutes * 60 + seconds))
}

/// Of PostgreSQL's default set; in lower case.
#[must_use]
pub fn abbreviation(word: &str) -> Option<i32> {
    ABBREVIATIONS.binary_search_by_key(&word, |(name, _)| name).ok().and_then(|index| ABBREVIATIONS.get(index)).map(|(_, offset)| *offset)
}

/// A zone by its full name, or as `EST5` or `<+0530>-05:30`; case does not matter.
#[must_use]
pub fn zone_by_name(name: &str) -> Option<Zone> {
    let named = name.parse::<Tz>().ok().or_else(|| TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(name)));
    named.map(Zone::Named).or_else(|| posix(name))
}

/// A POSIX rule counts hours west of Greenwich.
fn posix(text: &str) -> Option<Zone> {
    let rest = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').filter(|(name, _)| name.len() >= 3)?.1,
        None => {
            let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
            text.get(letters..).filter(|_| letters >= 3)?
        }
    };
    let west = if rest.starts_with(['+', '-']) { parse_offset(rest) } else { parse_offset(&format!("+{rest}")) };
    west.ok().map(|west| Zone::Fixed(-west))
}

/// Seconds east of UTC, ordered by name.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("acdt", 37_800),
    ("acsst", 37_800),
    ("acst", 34_200),
    ("act", -18_000),
    ("acwst", 31_500),
    ("adt", -10_800),
    ("aedt", 39_600),
    ("aesst", 39_600),
    ("aest", 36_000),
    ("aft", 16_200),
    ("akdt", -28_800),
    ("akst", -32_400),
    ("almst", 25_200),
    ("almt", 21_600),
    ("amst", 14_400),
    ("amt", -14_400),
    ("anast", 43_200),
    ("anat", 43_200),
    ("arst", -10_800),
    ("art", -10_800),
    ("ast", -14_400),
    ("awsst", 32_400),
    ("awst", 28_800),
    ("azost", 0),
    ("azot", -3_600),
    ("azst", 14_400),
    ("azt", 14_400),
    ("bdst", 7_200),
    ("bdt", 21_600),
    ("bnt", 28_800),
    ("bort", 28_800),
    ("bot", -14_400),
    ("bra", -10_800),
    ("brst", -7_200),
    ("brt", -10_800),
    ("bst", 3_600),
    ("btt", 21_600),
    ("cadt", 37_800),
    ("cast", 34_200),
    ("cct", 28_800),
    ("cdt", -18_000),
    ("cest", 7_200),
    ("cet", 3_600),
    ("cetdst", 7_200),
    ("chadt", 49_500),
    ("chast", 45_900),
    ("chut", 36_000),
    ("ckt", -36_000),
    ("clst", -10_800),
    ("clt", -10_800),
    ("cot", -18_000),
    ("cst", -21_600),
    ("cxt", 25_200),
    ("davt", 25_200),
    ("ddut", 36_000),
    ("easst", -18_000),
    ("east", -18_000),
    ("eat", 10_800),
    ("edt", -14_400),
    ("eest", 10_800),
    ("eet", 7_200),
    ("eetdst", 10_800),
    ("egst", 0),
    ("egt", -3_600),
    ("est", -18_000),
    ("fet", 10_800),
    ("fjst", 46_800),
    ("fjt", 43_200),
    ("fkst", -10_800),
    ("fkt", -10_800),
    ("fnst", -3_600),
    ("fnt", -7_200),
    ("galt", -21_600),
    ("gamt", -32_400),
    ("gest", 14_400),
    ("get", 14_400),
    ("gft", -10_800),
    ("gilt", 43_200),
    ("gmt", 0),
    ("gyt", -14_400),
    ("hkt", 28_800),
    ("hst", -36_000),
    ("ict", 25_200),
    ("idt", 10_800),
    ("iot", 21_600),
    ("irkst", 28_800),
    ("irkt", 28_800),
    ("irt", 12_600),
    ("ist", 7_200),
    ("jayt", 32_400),
    ("jst", 32_400),
    ("kdt", 36_000),
    ("kgst", 21_600),
    ("kgt", 21_600),
    ("kost", 39_600),
    ("krast", 25_200),
    ("krat", 25_200),
    ("kst", 32_400),
    ("lhdt", 39_600),
    ("lhst", 37_800),
    ("ligt", 36_000),
    ("lint", 50_400),
    ("lkt", 19_800),
    ("magst", 39_600),
    ("magt", 39_600),
    ("mart", -34_200),
    ("mawt", 18_000),
    ("mdt", -21_600),
    ("mest", 7_200),
    ("mesz", 7_200),
    ("met", 3_600),
    ("metdst", 7_200),
    ("mez", 3_600),
    ("mht", 43_200),
    ("mmt", 23_400),
    ("mpt", 36_000),
    ("msd", 14_400),
    ("msk", 10_800),
    ("mst", -25_200),
    ("must", 18_000),
    ("mut", 14_400),
    ("mvt", 18_000),
    ("myt", 28_800),
    ("ndt", -9_000),
    ("nft", -12_600),
    ("novst", 25_200),
    ("novt", 25_200),
    ("npt", 20_700),
    ("nst", -12_600),
    ("nut", -39_600),
    ("nzdt", 46_800),
    ("nzst", 43_200),
    ("nzt", 43_200),
    ("omsst", 21_600),
    ("omst", 21_600),
    ("pdt", -25_200),
    ("pet", -18_000),
    ("petst", 43_200),
    ("pett", 43_200),
    ("pgt", 36_000),
    ("pht", 28_800),
    ("pkst", 21_600),
    ("pkt", 18_000),
    ("pmdt", -7_200),
    ("pmst", -10_800),
    ("pont", 39_600),
    ("pst", -28_800),
    ("pwt", 32_400),
    ("pyst", -10_800),
    ("pyt", -10_800),
    ("ret", 14_400),
    ("sadt", 37_800),
    ("sast", 7_200),
    ("sct", 14_400),
    ("sgt", 28_800),
    ("taht", -36_000),
    ("tft", 18_000),
    ("tjt", 18_000),
    ("tkt", 46_800),
    ("tmt", 18_000),
    ("tot", 46_800),
    ("trut", 36_000),
    ("tvt", 43_200),
    ("uct", 0),
    ("ulast", 32_400),
    ("ulat", 28_800),
    ("ut", 0),
    ("utc", 0),
    ("uyst", -7_200),
    ("uyt", -10_800),
    ("uzst", 21_600),
    ("uzt", 18_000),
    ("vet", -14_400),
    ("vlast", 36_000),
    ("vlat", 36_000),
    ("volt", 10_800),
    ("vut", 39_600),
    ("wadt", 28_800),
    ("wakt", 43_200),
    ("wast", 25_200),
    ("wat", 3_600),
    ("wdt", 32_400),
    ("wet", 0),
    ("wetdst", 3_600),
    ("wft", 43_200),
    ("wgst", -7_200),
    ("wgt", -10_800),
    ("xjt", 21_600),
    ("yakst", 32_400),
    ("yakt", 32_400),
    ("yapt", 36_000),
    ("yekst", 21_600),
    ("yekt", 18_000),
    ("z", 0),
    ("zulu", 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        for (text, seconds) in [("+05:30", 19_800), ("-8", -28_800), ("+0530", 19_800), ("-04:56:02", -17_762), ("+15", 54_000)] {
            assert_eq!(parse_offset(text), Ok(seconds));
        }
        assert_eq!(parse_offset("+99"), Err(OffsetError::Range));
        for wrong in ["5", "+", "+5:", "+a", "+1:2:3:4"] {
            assert_eq!(parse_offset(wrong), Err(OffsetError::Syntax), "{wrong}");
        }
    }

    #[test]
    fn names() {
        assert!(ABBREVIATIONS.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(abbreviation("pst"), Some(-28_800));
        assert_eq!(zone_by_name("america/new_york"), Some(Zone::Named(Tz::America__New_York)));
        assert_eq!(zone_by_name("<+0530>-05:30"), Some(Zone::Fixed(19_800)));
        assert_eq!(zone_by_name("foo5"), Some(Zone::Fixed(-18_000)));
        assert_eq!(zone_by_name("mars/phobos"), None);
    }
}
