//! The ways to pack, each behind one call: packed bytes in, unpacked bytes out, and what became of it.
//!
//! What was unpacked before a damaged byte is always given: nothing that is whole is lost with the call that failed.

use std::path::Path;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

/// How a source is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952; members one behind the other, and zeros behind the last.
    Gzip,
    /// RFC 8878; frames one behind the other, some of which may be skippable.
    Zstd,
    /// Streams one behind the other, with padding of zeros.
    Xz,
    /// Streams one behind the other.
    Bzip2,
    /// RFC 7932: one stream. It has no first bytes of its own, so a name that ends in `.br` tells it.
    Brotli,
}

/// What the first bytes of a source say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It is packed.
    Packed(Packing),
    /// It is not packed, or does not tell.
    Plain,
    /// More bytes are needed.
    Short,
}

/// As many bytes as the longest magic has.
pub const HEAD_BYTES: usize = 6;

impl Packing {
    /// What a source is that begins with these bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Head {
        let mut is_short = false;
        for packing in [Self::Gzip, Self::Zstd, Self::Xz, Self::Bzip2] {
            match packing.begins(head) {
                Some(true) => return Head::Packed(packing),
                begins => is_short |= begins.is_none(),
            }
        }
        if is_short { Head::Short } else { Head::Plain }
    }

    /// How a file is packed that begins with these bytes, if it is. (Only the name tells brotli.)
    #[must_use]
    pub fn of_file(head: &[u8], path: &Path) -> Option<Self> {
        match Self::of(&head[..head.len().min(HEAD_BYTES)]) {
            Head::Packed(packing) => Some(packing),
            _ => path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("br")).then_some(Self::Brotli),
        }
    }

    /// Does a source that is packed like this begin with these bytes? None if they are too few to say so.
    pub(super) fn begins(self, head: &[u8]) -> Option<bool> {
        let (head, magic): (_, &[u8]) = match self {
            Self::Gzip => (head, b"\x1f\x8b"),
            // A skippable frame: its first byte is any of 0x5?.
            Self::Zstd if head.first().is_some_and(|first| first & 0xf0 == 0x50) => (&head[1..], b"\x2a\x4d\x18"),
            Self::Zstd => (head, b"\x28\xb5\x2f\xfd"),
            Self::Xz => (head, b"\xfd7zXZ\0"),
            Self::Bzip2 => (head, b"BZh"),
            Self::Brotli => return Some(false),
        };
        let is_short = head.len() < magic.len() && magic.starts_with(head);
        (!is_short).then(|| head.starts_with(magic))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Brotli => "brotli",
        }
    }

    /// Does all that unpacking looks back at fit into a processor's own cache? gzip looks back 32 KiB, others megabytes.
    pub(super) fn is_light(self) -> bool {
        matches!(self, Self::Gzip)
    }

    /// What the things are called that stand one behind the other.
    pub(super) fn part_name(self) -> &'static str {
        match self {
            Self::Gzip => "member",
            Self::Zstd => "frame",
            _ => "stream",
        }
    }

    /// May zeros stand behind and between?
    pub(super) fn is_padded(self) -> bool {
        matches!(self, Self::Gzip | Self::Xz)
    }

    /// A codec at the start of a part.
    pub(super) fn codec(self) -> Box<dyn Codec> {
        match self {
            Self::Gzip => Box::new(Gzip(Decompress::new_gzip(15))),
            Self::Zstd => Box::new(Zstd { context: DCtx::create(), hint: ZSTD_FIRST, is_pending: false }),
            Self::Xz => Box::new(Xz(liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).ok())),
            Self::Bzip2 => Box::new(Bzip2(bzip2::Decompress::new(false))),
            Self::Brotli => {
                let allocator = StandardAlloc::default;
                Box::new(Brotli(Box::new(BrotliState::new(allocator(), allocator(), allocator()))))
            }
        }
    }
}

/// How far a call came.
pub(super) struct Step {
    pub consumed: usize,
    pub produced: usize,
    pub state: State,
}

/// And how it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It wants more input, or more room.
    More,
    /// Here the part ends.
    End,
    Damaged,
    /// It asks for more memory than there is to have.
    TooMuchMemory,
}

/// Unpacks one part: a gzip member, a zstd frame, a stream of the others.
pub(super) trait Codec: Send + Sync {
    /// Consumes input and fills output, as far as both go.
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step;
}

struct Gzip(Decompress);

impl Codec for Gzip {
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let before = (self.0.total_in(), self.0.total_out());
        let state = match self.0.decompress(input, output, FlushDecompress::None) {
            Ok(flate2::Status::StreamEnd) => State::End,
            Ok(_) => State::More,
            Err(_) => State::Damaged,
        };
        let consumed = (self.0.total_in() - before.0) as usize;
        Step { consumed, produced: (self.0.total_out() - before.1) as usize, state }
    }
}

/// What a frame begins with at least, and the head of a block.
const ZSTD_FIRST: usize = 5;
const ZSTD_BLOCK_HEAD: usize = 3;

/// A call that fails tells nothing of what it gave before. So each gets either the head of a block or its rest, and none
/// that has still to give of a block: no damage takes a block with it that was whole.
struct Zstd {
    context: DCtx<'static>,
    /// What it wants next: the rest of a block, and the head of the one behind; or less.
    hint: usize,
    /// May it have more of a block to give, for which there was no room?
    is_pending: bool,
}

impl Codec for Zstd {
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (mut consumed, mut produced) = (0, 0);
        loop {
            let is_flush = std::mem::take(&mut self.is_pending);
            let wanted = if self.hint > ZSTD_BLOCK_HEAD { self.hint - ZSTD_BLOCK_HEAD } else { self.hint };
            let next = &input[consumed..];
            let mut source = InBuffer::around(&next[..if is_flush { 0 } else { next.len().min(wanted) }]);
            let mut room = OutBuffer::around(&mut output[produced..]);
            let result = self.context.decompress_stream(&mut room, &mut source);
            let step = (source.pos(), room.pos());
            consumed += step.0;
            produced += step.1;
            let state = match result {
                Ok(0) => {
                    self.hint = ZSTD_FIRST;
                    State::End
                }
                Ok(hint) => {
                    self.hint = hint;
                    self.is_pending = produced == output.len();
                    if (step != (0, 0) || is_flush) && !self.is_pending {
                        continue;
                    }
                    State::More
                }
                Err(code) if zstd_safe::get_error_name(code).contains("memory") => State::TooMuchMemory,
                Err(_) => State::Damaged,
            };
            return Step { consumed, produced, state };
        }
    }
}

/// The most memory that unpacking xz takes: `xz -9` asks for 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// (None where there was no memory for it.)
struct Xz(Option<liblzma::stream::Stream>);

impl Codec for Xz {
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        use liblzma::stream::{Action, Error, Status};
        let Some(stream) = &mut self.0 else {
            return Step { consumed: 0, produced: 0, state: State::TooMuchMemory };
        };
        let before = (stream.total_in(), stream.total_out());
        let state = match stream.process(input, output, Action::Run) {
            Ok(Status::StreamEnd) => State::End,
            Ok(_) => State::More,
            Err(Error::Mem | Error::MemLimit) => State::TooMuchMemory,
            Err(_) => State::Damaged,
        };
        let consumed = (stream.total_in() - before.0) as usize;
        Step { consumed, produced: (stream.total_out() - before.1) as usize, state }
    }
}

struct Bzip2(bzip2::Decompress);

impl Codec for Bzip2 {
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let before = (self.0.total_in(), self.0.total_out());
        let state = match self.0.decompress(input, output) {
            Ok(bzip2::Status::StreamEnd) => State::End,
            Ok(bzip2::Status::MemNeeded) => State::TooMuchMemory,
            Ok(_) => State::More,
            Err(_) => State::Damaged,
        };
        let consumed = (self.0.total_in() - before.0) as usize;
        Step { consumed, produced: (self.0.total_out() - before.1) as usize, state }
    }
}

struct Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>);

impl Codec for Brotli {
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (mut left, mut consumed) = (input.len(), 0);
        let (mut room, mut produced, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut consumed,
            input,
            &mut room,
            &mut produced,
            output,
            &mut total,
            &mut self.0,
        );
        let state = match result {
            BrotliResult::ResultSuccess => State::End,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => State::More,
            BrotliResult::ResultFailure => State::Damaged,
        };
        Step { consumed, produced, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let known = [
            (&b"\x1f\x8b\x08"[..], Packing::Gzip),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"\x50\x2a\x4d\x18", Packing::Zstd),
            (b"\x5f\x2a\x4d\x18\0", Packing::Zstd),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"BZh91AY", Packing::Bzip2),
        ];
        for (head, packing) in known {
            assert_eq!(Packing::of(head), Head::Packed(packing));
            let needed = (0..).find(|&length| Packing::of(&head[..length]) != Head::Short);
            assert!(needed.is_some_and(|needed| (2..=HEAD_BYTES).contains(&needed)));
        }
        assert_eq!(Packing::of(b""), Head::Short);
        for head in [&b"data"[..], b"{", b"\xef\xbb\xbf", b"P*M?", b"Pa", b"\x60\x2a\x4d\x18", b"BZ9", b"\x1f\x1f"] {
            assert_eq!(Packing::of(head), Head::Plain, "{head:?}");
        }
    }
}
