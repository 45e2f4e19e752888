//! What parts were told: digests in the order of the source in, its streams and counts out.

use super::digest::Digested;
use crate::decoder::{Decoder, Sink, Stats, not_a_stream};
use crate::error::{Damage, Place};
use crate::event::{TAR, ZIP};
use crate::record::Builder;
use crate::stream::{Streams, Tracker};

/// What was found in a part.
pub(super) struct Decoded {
    pub digest: Digested,
    pub stats: Stats,
    pub lines: u64,
    pub nature: Nature,
}

/// What is known of a source's sort.
#[derive(Clone, Copy, Default)]
pub(super) enum Nature {
    /// Nothing: so far there were comments and blank lines, if any.
    #[default]
    Unknown,
    /// There were other lines; the first of them begins with this byte.
    Foreign(u8),
    /// It is an event stream.
    Stream,
}

impl Nature {
    pub fn of(decoder: &Decoder) -> Self {
        match decoder.foreign() {
            Some(first) => Self::Foreign(first),
            None if decoder.is_known() => Self::Stream,
            None => Self::Unknown,
        }
    }

    /// That of both together.
    fn and(self, later: Self) -> Self {
        match (self, later) {
            (archive @ Self::Foreign(TAR | ZIP), _) => archive,
            (Self::Stream, _) | (_, Self::Stream) => Self::Stream,
            (Self::Unknown, later) => later,
            (foreign, _) => foreign,
        }
    }
}

/// All parts so far.
#[derive(Default)]
pub(super) struct Told {
    tracker: Tracker,
    stats: Stats,
    lines: u64,
    nature: Nature,
}

impl Told {
    /// The next part. Gives an empty builder back, with the memory of that one's.
    pub fn add(&mut self, decoded: Decoded) -> Builder {
        let (offset, lines, events) = (self.stats.bytes, self.lines, self.stats.events);
        // Line 0 says that only the offset is known.
        let global = |place: Place| match place.line {
            0 => Place { offset: place.offset + offset, ..place },
            line => Place { offset: place.offset + offset, line: line + lines, event: place.event + events },
        };
        let spare = decoded.digest.tell(&mut self.tracker, global);
        let mut stats = decoded.stats;
        for damage in &mut stats.damages {
            tell_line(damage, lines);
        }
        self.stats.append(stats, global);
        self.lines += decoded.lines;
        self.nature = self.nature.and(decoded.nature);
        spare
    }

    /// What was counted so far.
    #[cfg(test)]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The end of the source.
    pub fn finish(mut self) -> (Streams, Stats) {
        if let Nature::Foreign(first) = self.nature {
            let damage = not_a_stream(first);
            self.stats.add(&damage);
            self.tracker.damage(&damage);
        }
        (self.tracker.finish(), self.stats)
    }
}

/// Tells the line of the source in a reason that begins with that of the part.
fn tell_line(damage: &mut Damage, lines: u64) {
    let line = damage.place.line;
    if let Some(rest) = damage.reason.strip_prefix("line ")
        && let Some(rest) = rest.strip_prefix(&line.to_string())
        && rest.starts_with([' ', ':'])
    {
        damage.reason = format!("line {}{rest}", line + lines);
    }
}
