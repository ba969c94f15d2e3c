//! The frame of an answer: `result`, `next`, `total` and the `time` block (REST.md 2.3).

use crate::civil::write_stamp;
use crate::config::{OperatingInTime, PortalConfig};
use crate::json::Json;
use crate::limits::Reading;

/// When a call ran and what it cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) start_micros: i64,
    pub(crate) finish_micros: i64,
    pub(crate) reading: Reading,
}

/// Writes a `time` object.
pub(crate) fn write_time(out: &mut Json, config: &PortalConfig, timing: Timing) {
    let spent = timing.finish_micros - timing.start_micros;
    out.open_object();
    for (name, micros) in
        [("start", timing.start_micros), ("finish", timing.finish_micros), ("duration", spent), ("processing", spent)]
    {
        out.key(name);
        micros_as_seconds(out, micros);
    }
    for (name, micros) in [("date_start", timing.start_micros), ("date_finish", timing.finish_micros)] {
        out.key(name);
        out.raw("\"");
        write_stamp(out.buffer(), micros.div_euclid(1_000_000), config.offset_minutes);
        out.raw("\"");
    }
    if config.operating_in_time == OperatingInTime::Full {
        out.member_integer("operating_reset_at", timing.reading.reset_at);
    }
    if config.operating_in_time != OperatingInTime::Absent {
        out.key("operating");
        out.raw(&timing.reading.operating.to_string());
    }
    out.close_object();
}

fn micros_as_seconds(out: &mut Json, micros: i64) {
    out.integer(micros / 1_000_000);
    let fraction = micros.rem_euclid(1_000_000);
    if fraction != 0 {
        out.raw(&format!(".{fraction:06}"));
    }
}
