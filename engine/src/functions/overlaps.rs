//! `OVERLAPS` (documentation, section 9.9): two periods, each from one moment to another or for an interval.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::call::Row;
use super::datetime::add_interval;
use super::function::{Body, PgFunction};
use super::session::Session;
use super::text::civil::MICROS_PER_DAY;
use super::text::zone::Zone;
use super::types::Ty;

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let mut function = PgFunction::stable("overlaps").of_session(session.identity());
    for point in [Ty::TIMESTAMP, Ty::TIMESTAMPTZ, Ty::TIME] {
        for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
            let end = |interval: bool| if interval { Ty::INTERVAL } else { point.clone() };
            let args = [point.clone(), end(first), point.clone(), end(second)];
            let (wraps, zone) = (point == Ty::TIME, (point == Ty::TIMESTAMPTZ).then_some(session.style.zone));
            let body = move |row: &Row<'_>| {
                let a = Period::of(row, 0, first, wraps, zone)?;
                let b = Period::of(row, 2, second, wraps, zone)?;
                Ok(a.overlaps(b))
            };
            function = function.on_nullable(&args, Ty::BOOL, Body::Bool(Box::new(body)));
        }
    }
    vec![function.build()]
}

/// The earlier end is known where one is.
#[derive(Debug, Clone, Copy)]
struct Period {
    start: Option<i64>,
    end: Option<i64>,
}

impl Period {
    fn of(row: &Row<'_>, at: usize, interval: bool, wraps: bool, zone: Option<Zone>) -> Result<Period> {
        let point = |at: usize| (!row.is_null(at)).then(|| row.int(at));
        let start = point(at);
        let end = match start {
            _ if !interval => point(at + 1),
            Some(start) if !row.is_null(at + 1) => Some(if wraps {
                (start + row.interval(at + 1).nanoseconds / 1_000).rem_euclid(MICROS_PER_DAY)
            } else {
                add_interval(start, row.interval(at + 1), zone, 1)?
            }),
            _ => None,
        };
        Ok(match (start, end) {
            (None, end) => Period { start: end, end: None },
            (Some(start), Some(end)) if start > end => Period { start: Some(end), end: Some(start) },
            (start, end) => Period { start, end },
        })
    }

    /// `overlaps_timestamp`: unknown where a missing end could decide.
    fn overlaps(self, other: Period) -> Option<bool> {
        let (start, other_start) = (self.start?, other.start?);
        if start == other_start {
            return (self.end.is_some() && other.end.is_some()).then_some(true);
        }
        let (earlier, later, later_start) = if start > other_start { (other, self, start) } else { (self, other, other_start) };
        if later_start < earlier.end? {
            return Some(true);
        }
        later.end.map(|_| false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        let period = |start, end| Period { start, end };
        assert_eq!(period(Some(1), Some(5)).overlaps(period(Some(4), Some(9))), Some(true));
        assert_eq!(period(Some(1), Some(4)).overlaps(period(Some(4), Some(9))), Some(false));
        assert_eq!(period(Some(1), Some(4)).overlaps(period(Some(9), None)), None);
        assert_eq!(period(Some(1), Some(10)).overlaps(period(Some(9), None)), Some(true));
        assert_eq!(period(None, None).overlaps(period(Some(9), None)), None);
    }
}
