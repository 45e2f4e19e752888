//! Sources: files as they are, gzip and zstd of any build, cut and damaged ones; blocks out.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use chunkwire::source::{Ahead, BLOCK_BYTES, Blocks};

/// A file in the system's folder for such, gone with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("chunkwire-{}-{name}", std::process::id()));
        fs::write(&path, bytes).expect("a file can be written");
        Self(path)
    }

    /// All blocks up to the end or an error, and that error.
    fn read(&self) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut blocks = match Blocks::open(&self.0, None) {
            Ok(blocks) => blocks,
            Err(error) => return (Vec::new(), Some(error.kind())),
        };
        assert_eq!(blocks.size, fs::metadata(&self.0).expect("it is there").len());
        let mut bytes = Vec::new();
        loop {
            match blocks.next_block() {
                Ok(None) => return (bytes, None),
                Ok(Some(block)) => {
                    assert!(!block.is_empty() && block.len() <= BLOCK_BYTES);
                    bytes.extend_from_slice(&block);
                }
                Err(error) => return (bytes, Some(error.kind())),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn read(name: &str, bytes: &[u8]) -> (Vec<u8>, Option<io::ErrorKind>) {
    Temporary::new(name, bytes).read()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).expect("memory")
}

/// More than a block, which compress well enough to be quick and badly enough to be many bytes.
fn long() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut number = 1u64;
    while bytes.len() < BLOCK_BYTES * 5 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(format!("data: {{\"id\":\"chatcmpl\",\"x\":{number}}}\n\n").as_bytes());
    }
    bytes
}

#[test]
fn a_file_comes_in_blocks() {
    let bytes = long();
    assert_eq!(read("plain", &bytes), (bytes, None));
}

#[test]
fn another_thread_reads_the_same() {
    let bytes = long();
    let packed = gzip(&bytes);
    let sources = [bytes.clone(), packed.clone(), zstd(&bytes), packed[..packed.len() / 2].to_vec(), Vec::new()];
    for (number, source) in sources.iter().enumerate() {
        let file = Temporary::new(&format!("ahead-{number}"), source);
        let mut ahead = Ahead::new(Box::new(Blocks::open(&file.0, None).expect("it is there"))).ok().expect("a thread");
        let (mut read, mut error) = (Vec::new(), None);
        loop {
            match ahead.next_block(Duration::from_secs(60)).expect("it does not take so long") {
                Ok(Some(block)) => {
                    read.extend_from_slice(&block);
                    ahead.give_back(block);
                }
                Ok(None) => break,
                Err(found) => {
                    assert!(error.is_none(), "behind an error comes the end");
                    error = Some(found.kind());
                }
            }
        }
        assert!(matches!(ahead.next_block(Duration::ZERO), Some(Ok(None))), "and it stays the end");
        assert_eq!((read, error), file.read(), "{number}");
        assert!(!ahead.is_orphan());
    }
}

#[test]
fn a_thread_that_nobody_listens_to_ends() {
    let file = Temporary::new("unheard", &long().repeat(4));
    for blocks in 0..6 {
        let mut ahead = Ahead::new(Box::new(Blocks::open(&file.0, None).expect("it is there"))).ok().expect("a thread");
        for _ in 0..blocks {
            assert!(matches!(ahead.next_block(Duration::from_secs(60)), Some(Ok(Some(_)))));
        }
        // Waits for the thread: that would take for ever if it did.
        drop(ahead);
    }
}

#[test]
fn short_files_are_whole() {
    for length in 0..=9 {
        let bytes = &b"data: x\n\n"[..length];
        assert_eq!(read(&format!("short-{length}"), bytes), (bytes.to_vec(), None));
        let file = Temporary::new(&format!("once-{length}"), bytes);
        let mut blocks = Blocks::open(&file.0, None).expect("it is there");
        for expected in [(length > 0).then(|| bytes.to_vec()), None, None] {
            assert_eq!(
                blocks.next_block().expect("it can be read").map(|block| block.to_vec()),
                expected,
                "one block, then the end, again and again"
            );
        }
    }
}

#[test]
fn files_around_a_block_are_whole() {
    for length in [BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, BLOCK_BYTES + 4] {
        let bytes = &long()[..length];
        assert!(read(&format!("around-{length}"), bytes) == (bytes.to_vec(), None));
    }
}

#[test]
fn beginnings_of_magic_bytes_are_only_bytes() {
    for bytes in [&b"\x1f"[..], b"\x28", b"\x28\xb5", b"\x28\xb5\x2f", b"\x1fdata", b"\x8b\x1f\x8b\x1f"] {
        assert_eq!(read(&format!("magic-{:02x}-{}", bytes[0], bytes.len()), bytes), (bytes.to_vec(), None));
    }
}

#[test]
fn what_is_no_file_is_an_error() {
    let error = |path: PathBuf| Blocks::open(&path, None).err().expect("no file").kind();
    assert_eq!(error(std::env::temp_dir()), io::ErrorKind::IsADirectory);
    assert_eq!(error(std::env::temp_dir().join("chunkwire-is-not-here")), io::ErrorKind::NotFound);
}

#[test]
fn gzip_members_are_one_source() {
    let bytes = long();
    assert!(read("one.gz", &gzip(&bytes)) == (bytes.clone(), None));
    let members: Vec<u8> = bytes.chunks(300_001).flat_map(gzip).collect();
    assert!(read("many.gz", &members) == (bytes, None));
    assert_eq!(read("empty.gz", &gzip(b"")), (vec![], None));
    let with_empty = [gzip(b""), gzip(b"a"), gzip(b""), gzip(b"b"), gzip(b"")].concat();
    assert_eq!(read("with-empty.gz", &with_empty), (b"ab".to_vec(), None));
}

#[test]
fn zeros_behind_gzip_members_are_padding() {
    for zeros in [1, 2, 511, 100_000] {
        let padded = [gzip(b"a"), vec![0; zeros], gzip(b"b"), vec![0; zeros]].concat();
        assert_eq!(read(&format!("padded-{zeros}.gz"), &padded), (b"ab".to_vec(), None));
    }
}

#[test]
fn zstd_frames_are_one_source() {
    let bytes = long();
    assert!(read("one.zst", &zstd(&bytes)) == (bytes.clone(), None));
    let frames: Vec<u8> = bytes.chunks(300_001).flat_map(zstd).collect();
    assert!(read("many.zst", &frames) == (bytes, None));
    assert_eq!(read("empty.zst", &zstd(b"")), (vec![], None));
    let with_empty = [zstd(b""), zstd(b"a"), zstd(b""), zstd(b"b"), zstd(b"")].concat();
    assert_eq!(read("with-empty.zst", &with_empty), (b"ab".to_vec(), None));
}

#[test]
fn compression_goes_by_the_bytes_and_not_by_the_name() {
    assert_eq!(read("plain.gz", b"data: x\n\n"), (b"data: x\n\n".to_vec(), None));
    assert_eq!(read("plain.zst", b"data: x\n\n"), (b"data: x\n\n".to_vec(), None));
    assert_eq!(read("gzip.sse", &gzip(b"data: x\n\n")), (b"data: x\n\n".to_vec(), None));
}

#[test]
fn cut_gzip_gives_what_was_whole_and_then_an_error() {
    let text = b"data: {\"choices\":[]}\n\n".repeat(10);
    let first = gzip(&text);
    let both = [first.clone(), gzip(&text)].concat();
    let mut given = 0;
    for end in 2..both.len() {
        let (bytes, error) = read("cut.gz", &both[..end]);
        assert!([&text[..], &text].concat().starts_with(&bytes), "cut at {end}");
        // Between two members nothing is missing.
        let expected = (end != first.len()).then_some(io::ErrorKind::UnexpectedEof);
        assert_eq!(error, expected, "cut at {end}");
        assert!(bytes.len() >= given, "more bytes give no less");
        given = bytes.len();
        assert!(end < first.len() || bytes.len() >= text.len(), "the first member is whole");
    }
    // Only the trailer is missing: all data is there.
    assert_eq!(read("trailer.gz", &first[..first.len() - 8]), (text, Some(io::ErrorKind::UnexpectedEof)));
}

#[test]
fn cut_zstd_gives_what_was_whole_and_then_an_error() {
    let text = b"data: {\"choices\":[]}\n\n".repeat(10);
    let first = zstd(&text);
    let both = [first.clone(), zstd(&text)].concat();
    for end in 4..both.len() {
        let (bytes, error) = read("cut.zst", &both[..end]);
        assert!([&text[..], &text].concat().starts_with(&bytes), "cut at {end}");
        assert_eq!(error.is_none(), end == first.len(), "cut at {end}: {error:?}");
        assert!(end < first.len() || bytes.len() >= text.len(), "the first frame is whole");
    }
}

#[test]
fn long_compressed_files_that_are_cut_give_most_of_it() {
    let bytes = long();
    for (name, packed) in [("long-cut.gz", gzip(&bytes)), ("long-cut.zst", zstd(&bytes))] {
        let (found, error) = read(name, &packed[..packed.len() - 1000]);
        assert!(error.is_some(), "{name}");
        assert!(found.len() > BLOCK_BYTES && bytes.starts_with(&found), "{name}: {} bytes", found.len());
    }
}

#[test]
fn damaged_compressed_files_are_errors() {
    let text = b"data: {\"choices\":[]}\n\n".repeat(10);
    let mut packed = gzip(&text);
    let trailer = packed.len() - 8;
    packed[trailer] ^= 1; // the checksum
    let (bytes, error) = read("checksum.gz", &packed);
    assert!(error.is_some() && text.starts_with(&bytes));
    for garbage in [&b"garbage"[..], b"\x1f", b"\x1f\x8b\xff\xff"] {
        let (bytes, error) = read("garbage.gz", &[gzip(&text), garbage.to_vec()].concat());
        assert_eq!((bytes, error.is_some()), (text.clone(), true), "{garbage:?}");
        let (bytes, error) = read("garbage.zst", &[zstd(&text), garbage.to_vec()].concat());
        assert_eq!((bytes, error.is_some()), (text.clone(), true), "{garbage:?}");
    }
}

#[test]
fn an_error_stays_an_error() {
    let bytes = b"data: x\n\n".repeat(1000);
    for (name, packed) in [("again.gz", gzip(&bytes)), ("again.zst", zstd(&bytes))] {
        let file = Temporary::new(name, &packed[..packed.len() - 3]);
        let mut blocks = Blocks::open(&file.0, None).expect("it is there");
        while blocks.next_block().is_ok_and(|block| block.is_some()) {}
        assert!(blocks.next_block().is_err(), "{name}");
    }
}
