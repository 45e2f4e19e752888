//! The framing of events: the framer beside its slow twin, on a table of every edge and on generated streams, whole,
//! byte by byte, cut everywhere, with every line end.

mod support;
mod twin;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use chunkwire::error::Place;
use chunkwire::event::{Data, FrameKind, Framer, decode_utf8};
use proptest::prelude::*;
use support::{all_cuts, by, cases, cut_at, cuts, recorded, with_line_ends};
use twin::{framed, twin};

const NO_LIMIT: usize = 1 << 40;

/// Name, source, how many events it has. What is in them is the twin's word; the number keeps the twin honest.
const CASES: &[(&str, &[u8], usize)] = &[
    ("nothing", b"", 0),
    ("blank lines", b"\n\n\n", 0),
    ("one event", b"data: x\n\n", 1),
    ("two events", b"data: x\n\ndata: y\n\n", 2),
    ("blank lines between", b"data: x\n\n\n\n\ndata: y\n\n\n", 2),
    ("no space", b"data:x\n\n", 1),
    ("two spaces", b"data:  x\n\n", 1),
    ("tab", b"data:\tx\n\n", 1),
    ("trailing space", b"data: x \n\n", 1),
    ("empty data", b"data:\n\n", 1),
    ("empty data with a space", b"data: \n\n", 1),
    ("data without a colon", b"data\n\n", 1),
    ("two empty data", b"data\ndata\n\n", 1),
    ("three data", b"data: a\ndata:b\ndata:  c\n\n", 1),
    ("three data, the middle one empty", b"data: a\ndata\ndata: c\n\n", 1),
    ("data that begins with a colon", b"data::x\n\ndata: :x\n\n", 2),
    ("comment between data", b"data: a\n: note\ndata: b\n\n", 1),
    ("field between data", b"data: a\nid: 1\ndata: b\n\n", 1),
    ("unknown field between data", b"data: a\nfoo: 1\ndata: b\n\n", 1),
    ("comments only", b": a\n:\n\n: b\n\n", 0),
    ("comment before data", b": a\ndata: x\n\n", 1),
    ("comment behind data", b"data: x\n: a\n\n", 1),
    ("comment block between", b"data: x\n\n: a\n\ndata: y\n\n", 2),
    ("comment that looks like data", b":data: x\n\n", 0),
    ("comment that is no UTF-8", b": \xff\n\ndata: x\n\n", 1),
    ("space before the field", b" data: x\n\ndata: y\n\n", 1),
    ("space before the colon", b"data : x\n\ndata: y\n\n", 1),
    ("capitals", b"Data: x\n\nDATA: x\n\ndata: y\n\n", 1),
    ("longer name", b"database: x\n\ndat: x\n\ndata: y\n\n", 1),
    ("unknown fields in a block", b"a: 1\nb\ndata: x\nc:\n\n", 1),
    ("unknown fields only", b"a: 1\nb\n\n", 0),
    ("event", b"event: e\ndata: x\n\ndata: y\n\n", 2),
    ("event behind data", b"data: x\nevent: e\n\ndata: y\n\n", 2),
    ("event twice", b"event: a\nevent: b\ndata: x\n\n", 1),
    ("event emptied", b"event: a\nevent\ndata: x\n\n", 1),
    ("event with spaces", b"event:  a \ndata: x\n\n", 1),
    ("event without data", b"event: a\n\ndata: x\n\n", 1),
    ("event that is no UTF-8", b"event: a\xff\xfe\ndata: x\n\ndata: y\n\n", 2),
    ("event that is no UTF-8, replaced", b"event: \xff\nevent: a\ndata: x\n\n", 1),
    ("id stays", b"id: 1\ndata: x\n\ndata: y\n\n", 2),
    ("id emptied", b"id: 1\ndata: x\n\nid\ndata: y\n\n", 2),
    ("id without data stays", b"id: 1\n\ndata: x\n\n", 1),
    ("id with NUL", b"id: 1\ndata: x\n\nid: a\0b\ndata: y\n\n", 2),
    ("id with NUL that is no UTF-8", b"id: \xff\0\ndata: x\n\n", 1),
    ("id that is no UTF-8", b"id: \xff\ndata: x\n\ndata: y\n\n", 2),
    ("retry", b"retry: 3000\ndata: x\n\ndata: y\n\n", 2),
    ("retry with zeros", b"retry: 0030\ndata: x\n\n", 1),
    ("retry twice", b"retry: 1\nretry: 2\ndata: x\n\n", 1),
    ("retry, then a bad one", b"retry: 1\nretry: x\ndata: x\n\n", 1),
    ("bad retries", b"retry: -1\nretry: +1\nretry: 1s\nretry: \nretry\nretry: 1 \ndata: x\n\n", 1),
    ("retry in other digits", b"retry: \xd9\xa1\ndata: x\n\n", 1),
    ("largest retry", b"retry: 18446744073709551615\ndata: x\n\n", 1),
    ("retry beyond that", b"retry: 18446744073709551616\ndata: x\n\nretry: 99999999999999999999999\ndata: y\n\n", 2),
    ("retry without data", b"retry: 5\n\ndata: x\n\n", 1),
    ("byte order mark", b"\xef\xbb\xbfdata: x\n\ndata: y\n\n", 2),
    ("byte order mark, comment", b"\xef\xbb\xbf: a\n\n", 0),
    ("byte order mark, blank line", b"\xef\xbb\xbf\n\ndata: x\n\n", 1),
    ("byte order mark twice", b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n", 1),
    ("byte order mark later", b"data: x\n\n\xef\xbb\xbfdata: y\n\n", 1),
    ("byte order mark behind a blank line", b"\n\xef\xbb\xbfdata: y\n\n", 0),
    ("byte order mark alone", b"\xef\xbb\xbf", 0),
    ("byte order mark begun", b"\xef\xbb", 0),
    ("one byte of a byte order mark", b"\xef", 0),
    ("byte order mark broken", b"\xef\xbbdata: x\n\ndata: y\n\n", 1),
    ("byte order mark broken by a line end", b"\xef\n\ndata: y\n\n", 1),
    ("no blank line", b"data: x\n", 1),
    ("no line end", b"data: x", 1),
    ("no line end behind another line", b"data: x\ndata: y", 1),
    ("no blank line behind a comment", b"data: x\n: a", 1),
    ("open comment", b": a", 0),
    ("open name", b"data: x\n\nda", 1),
    ("open name that is a field", b"data: x\n\ndata", 2),
    ("open unknown field", b"data: x\nfoo", 1),
    ("open event", b"event: x", 0),
    ("open id, then nothing", b"id: 1", 0),
    ("comment and unknown field, no blank line", b": a\nfoo: 1\ndata: x\n", 1),
    ("mixed line ends", b"data: x\r\ndata: y\rdata: z\n\r\ndata: 1\r\r\n", 2),
    ("CR CRLF", b"data: x\r\r\ndata: y\n\n", 2),
    ("LF CR", b"data: x\n\rdata: y\n\r", 2),
    ("CRLF CR LF", b"data: x\r\n\r\n\r\ndata: y\r\n\r", 2),
    ("CR at the end", b"data: x\r", 1),
    ("CRLF at the end", b"data: x\r\n", 1),
    ("CR CR LF LF", b"data: x\r\r\n\ndata: y\r\r", 2),
    ("comment CRLF", b": a\r\n\r\n: b\r\n", 0),
    ("unknown CRLF", b"foo: a\r\n\r\nfoo: b\r\n", 0),
    ("U+0085, U+2028, U+2029 are no line ends", b"data: a\xc2\x85b\xe2\x80\xa8c\xe2\x80\xa9d\n\n", 1),
    ("VT, FF, FS are no line ends", b"data: a\x0bb\x0cc\x1cd\n\n", 1),
    ("NUL is data", b"data: a\0b\n\n\0\n\n", 1),
    ("data that is no UTF-8", b"data: \xff\n\ndata: y\n\n", 2),
    ("HTML", b"<!DOCTYPE html>\n<p>no\n", 0),
    ("JSON", b"  {\"a\": 1}\n", 0),
    ("spaces", b"   \n\n", 0),
    ("known field only", b"foo\nretry: 5\n\n", 0),
];

/// The framer's word on a source in these pieces equals its twin's, and every byte is counted once.
fn check(source: &[u8], pieces: &[&[u8]], limit: usize, strict: bool) {
    let (told, expected) = (framed(pieces, limit, strict), twin(source, limit, strict));
    assert_eq!(told, expected, "{:?} limit {limit} strict {strict} in {pieces:?}", String::from_utf8_lossy(source));
    assert_eq!(told.consumed, source.len() as u64);
    assert_eq!(told.counted(), told.consumed);
}

#[test]
fn the_table_is_as_long_as_its_names_are_different() {
    let mut names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CASES.len());
    assert!(CASES.len() >= 80);
}

#[test]
fn every_case_has_its_events_with_every_line_end() {
    for (name, source, events) in CASES {
        for source in with_line_ends(source) {
            assert_eq!(twin(&source, NO_LIMIT, false).frames.len(), *events, "{name}");
        }
    }
}

#[test]
fn every_case_in_every_cut_equals_the_twin() {
    for (_, source, _) in CASES {
        for source in with_line_ends(source) {
            for pieces in all_cuts(&source) {
                for strict in [false, true] {
                    check(&source, &pieces, NO_LIMIT, strict);
                }
            }
        }
    }
}

#[test]
fn every_case_under_small_limits_equals_the_twin() {
    for (_, source, _) in CASES {
        for source in with_line_ends(source) {
            for limit in 2..14 {
                for pieces in all_cuts(&source) {
                    check(&source, &pieces, limit, limit % 2 == 0);
                }
            }
        }
    }
}

#[test]
fn an_event_has_its_parts_and_its_place() {
    let source = b"\xef\xbb\xbf: hi\n\nfoo: 1\n: c\nid: 7\nevent: e\ndata: a\nretry: 9\ndata: b\n\ndata: z\n\n";
    let told = framed(&[source], NO_LIMIT, true);
    let first = &told.frames[0];
    assert_eq!(first.place, Place { offset: 20, line: 5, event: 0 });
    assert_eq!((&first.data[..], &first.event_type[..], &first.id[..], first.retry), (&b"a\nb"[..], "e", "7", Some(9)));
    assert_eq!(first.bytes, "id: 7\nevent: e\ndata: a\nretry: 9\ndata: b\n\n".len() as u64);
    let second = &told.frames[1];
    assert_eq!(second.place, Place { offset: 61, line: 11, event: 1 });
    assert_eq!((&second.data[..], &second.event_type[..], &second.id[..], second.retry), (&b"z"[..], "", "7", None));
    // The mark and the blank line of the first block, which has no event, are counted with its comment.
    assert_eq!((told.counts.comments, told.counts.comment_bytes, told.counts.skipped_bytes), (2, 3 + 5 + 1 + 4, 7));
}

#[test]
fn an_event_comes_with_the_byte_that_completes_it() {
    for (source, complete) in
        [(&b"data: x\n\n"[..], 9), (b"data: x\r\r", 9), (b"data: x\r\n\r\n", 10), (b"data: x\n\r\n", 9)]
    {
        let mut framer = Framer::new(NO_LIMIT);
        for (number, piece) in by(source, 1).into_iter().enumerate() {
            let frame = framer.next(piece, &mut 0);
            assert_eq!(frame.is_some(), number + 1 == complete, "{source:?} at {number}");
        }
        assert!(framer.finish(false).is_none());
    }
}

#[test]
fn an_event_of_one_line_in_one_piece_is_not_copied() {
    for source in with_line_ends(b"data: hello\n\n: x\ndata:hello\n\nid: 1\ndata: hello\n\n") {
        let (mut framer, mut at, mut events) = (Framer::new(NO_LIMIT), 0, 0);
        while let Some(frame) = framer.next(&source, &mut at) {
            let Data::Input(span) = frame.data else { panic!("event {events} was copied") };
            assert_eq!(&source[span], b"hello");
            events += 1;
        }
        assert_eq!(events, 3);
    }
}

#[test]
fn strict_discards_what_no_blank_line_ended() {
    let source = b"data: x\n\n: a\nfoo: b\ndata: y\n: open";
    let (loose, strict) = (framed(&[source], NO_LIMIT, false), framed(&[source], NO_LIMIT, true));
    assert_eq!((loose.data(), strict.data()), (vec![&b"x"[..], b"y"], vec![&b"x"[..]]));
    assert_eq!((strict.counts.skipped_bytes, strict.counts.comment_bytes), (source.len() as u64 - 9, 0));
    assert_eq!((loose.counts.comments, strict.counts.comments), (2, 1));
}

// --- the limit on an event

#[test]
fn an_event_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    // The lines, and the largest sum of the data before a line (with a line feed each) and that line.
    for (block, size) in [
        (&b"data: 12345\n"[..], 11),
        (b"data:\ndata: 12345\n", 12),
        (b"data: 12345\ndata: 12\n", 6 + 8),
        (b"data: 12345\nid: 123\n", 6 + 7),
        (b"data: 12\ndata: 34\ndata: 56\n", 3 + 3 + 8),
        (b"data: 12345\n: comment\n", 6 + 9),
        (b"data: 12345\nunknown\n", 6 + 7),
        (b"event: 12345\ndata: 1\n", 12),
    ] {
        let source = [block, b"\ndata: z\n\n"].concat();
        for source in with_line_ends(&source) {
            for pieces in all_cuts(&source) {
                check(&source, &pieces, size, false);
                check(&source, &pieces, size - 1, false);
                let (exact, above) = (framed(&pieces, size, false), framed(&pieces, size - 1, false));
                assert_eq!(exact.frames.iter().map(|frame| frame.too_large).collect::<Vec<_>>(), [false, false]);
                assert_eq!(above.frames.iter().map(|frame| frame.too_large).collect::<Vec<_>>(), [true, false]);
                assert_eq!((&above.frames[1].data[..], above.frames[1].place.event), (&b"z"[..], 1));
            }
        }
    }
}

#[test]
fn what_is_too_large_is_dropped_up_to_its_blank_line() {
    let long = "x".repeat(100);
    for (source, offset, line, dropped) in [
        (format!("data: {long}\ndata: y\nid: 3\n: c\nfoo\n\ndata: z\n\n"), 0, 1, 107 + 8 + 6 + 4 + 4 + 1),
        (format!("data: 1\n: c\nfoo\nid: 1\n{long}\n: d\n\ndata: z\n\n"), 0, 1, 8 + 6 + 101 + 4 + 1),
        (format!(": c\nfoo\n{long}\n\ndata: z\n\n"), 8, 3, 101 + 1),
        (format!(":{long}\n\ndata: z\n\n"), 0, 1, 103),
        (format!("\n\nid: {long}\n\ndata: z\n\n"), 2, 3, 106),
        (format!("\u{feff}data: {long}\n\ndata: z\n\n"), 3, 1, 3 + 108),
    ] {
        for pieces in all_cuts(source.as_bytes()) {
            let told = framed(&pieces, 50, true);
            assert_eq!(told.frames.len(), 2);
            assert_eq!(told.frames[0].place, Place { offset, line, event: 0 }, "{source:?}");
            assert_eq!((told.counts.dropped_bytes, &told.frames[1].data[..]), (dropped, &b"z"[..]));
            check(source.as_bytes(), &pieces, 50, true);
        }
    }
}

#[test]
fn too_large_is_told_at_once() {
    let (mut framer, mut at) = (Framer::new(100), 0);
    assert!(framer.next(&[b"data: ".as_slice(), &[b'x'; 94]].concat(), &mut at).is_none());
    let frame = framer.next(b"x", &mut 0).expect("the limit is passed");
    assert_eq!((frame.kind, frame.place), (FrameKind::TooLarge, Place { offset: 0, line: 1, event: 0 }));
    assert!(framer.next(b"y\ndata: y\n", &mut 0).is_none());
    assert!(framer.next(b"\n", &mut 0).is_none());
    assert_eq!(framer.counts().dropped_bytes, framer.consumed());
    assert!(framer.next(b"data: z\n\n", &mut 0).is_some());
}

// --- memory and time

/// Counts the bytes that each thread has from the system; tests run side by side, each in its thread.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let live = LIVE.get() + change;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every method passes its arguments on to `System` unchanged and returns what it gives; counting allocates
// nothing, since the counters are constants without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps `dealloc`'s contract, and the memory came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are held more at some time during the work than before it.
fn peak_of(work: impl FnOnce()) -> isize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    PEAK.get() - before
}

const MIB: usize = 1 << 20;

#[test]
fn a_huge_line_without_an_end_takes_no_memory() {
    for first in ["data: ", ": ", "", "data: x\ndata: "] {
        let piece = vec![b'x'; MIB];
        let mut framer = Framer::new(MIB);
        assert!(framer.next(first.as_bytes(), &mut 0).is_none());
        let mut frames = 0;
        let peak = peak_of(|| {
            for _ in 0..64 {
                let mut at = 0;
                while framer.next(&piece, &mut at).is_some() {
                    frames += 1;
                }
            }
        });
        assert_eq!(frames, 1);
        assert!(peak < 5 * MIB as isize / 2, "{peak} bytes for {first:?}");
        let held = LIVE.get();
        drop(framer);
        let held = held - LIVE.get();
        assert!(held < (MIB / 4) as isize, "{held} bytes are still held");
    }
}

#[test]
fn a_huge_event_of_many_lines_takes_no_memory() {
    let piece = b"data: 0123456789\n".repeat(1000);
    let mut framer = Framer::new(MIB);
    let mut frames = 0;
    let peak = peak_of(|| {
        for _ in 0..1000 {
            let mut at = 0;
            while framer.next(&piece, &mut at).is_some() {
                frames += 1;
            }
        }
    });
    assert_eq!(frames, 1);
    assert!(peak < 5 * MIB as isize / 2, "{peak} bytes");
    assert!(framer.next(b"\ndata: z\n\n", &mut 0).is_some());
}

#[test]
fn the_memory_of_a_huge_event_goes_back() {
    let mut framer = Framer::new(64 * MIB);
    let before = LIVE.get();
    for piece in by(&[b"data: ", vec![b'x'; 8 * MIB].as_slice(), b"\n\n"].concat(), MIB) {
        if let Some(frame) = framer.next(piece, &mut 0) {
            assert_eq!((frame.data, framer.data().len()), (Data::Framer, 8 * MIB));
        }
    }
    assert!(framer.next(b"data: x\n\n", &mut 0).is_some());
    assert!(LIVE.get() - before < MIB as isize, "{} bytes are still held", LIVE.get() - before);
}

#[test]
fn time_is_linear_in_the_number_of_pieces() {
    // Were the open line scanned again with every piece, this would be some 10^12 steps.
    let source = [b"data: ", vec![b'x'; 2 * MIB].as_slice(), b"\n\n"].concat();
    let told = framed(&by(&source, 1), 4 * MIB, true);
    assert_eq!((told.frames.len(), told.frames[0].data.len()), (1, 2 * MIB));
}

// --- text that is no UTF-8

#[test]
fn every_maximal_invalid_part_becomes_one_replacement_character() {
    for (bytes, text, invalid_at) in [
        (&b"abc"[..], "abc", None),
        ("a\u{e9}\u{5317}\u{1f60a}".as_bytes(), "a\u{e9}\u{5317}\u{1f60a}", None),
        (b"\xff", "\u{fffd}", Some(0)),
        (b"a\xffb\xfe", "a\u{fffd}b\u{fffd}", Some(1)),
        (b"a\xe5\x8c", "a\u{fffd}", Some(1)),
        (b"a\xf0\x9f\x98\"", "a\u{fffd}\"", Some(1)),
        (b"\xf0\x9f\x98\xf0\x9f\x98\x8a", "\u{fffd}\u{1f60a}", Some(0)),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}", Some(0)),
        (b"\xc0\xaf", "\u{fffd}\u{fffd}", Some(0)),
        (b"\xe0\x80\xaf", "\u{fffd}\u{fffd}\u{fffd}", Some(0)),
        (b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}", Some(0)),
        (b"x\x80\x80", "x\u{fffd}\u{fffd}", Some(1)),
    ] {
        let decoded = decode_utf8(bytes);
        assert_eq!((&*decoded.text, decoded.invalid_at), (text, invalid_at), "{bytes:?}");
    }
}

// --- generated and recorded streams

fn line() -> impl Strategy<Value = Vec<u8>> {
    let names =
        prop::sample::select(vec!["data", "data", "data", "event", "id", "retry", "foo", "", "Data", "dat", " data"]);
    let colons = prop::sample::select(vec![":", ": ", ": ", ":  ", "", "::", " :"]);
    let signs = prop::sample::select(&b"ab01 :\0\xff\xc3\xa9\xef\xbb\xbf{\""[..]);
    let value = prop::collection::vec(signs, 0..12);
    let made =
        (names, colons, value).prop_map(|(name, colon, value)| [name.as_bytes(), colon.as_bytes(), &value].concat());
    prop_oneof![4 => Just(Vec::new()), 5 => made, 1 => Just(b"data: {\"choices\":[]}".to_vec()), 1 => Just(b"\xef\xbb\xbf".to_vec())]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let ends = prop::sample::select(vec!["\n", "\n", "\r\n", "\r"]);
    let lines = prop::collection::vec((line(), ends), 0..24);
    (prop::sample::select(vec![&b""[..], b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]), lines, line()).prop_map(
        |(mark, lines, open)| {
            let mut source = mark.to_vec();
            for (line, end) in lines {
                source.extend_from_slice(&line);
                source.extend_from_slice(end.as_bytes());
            }
            source.extend_from_slice(&open);
            source
        },
    )
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![Just(NO_LIMIT), 2usize..40]
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn generated_streams_equal_the_twin_in_every_split(source in stream(), cuts in cuts(), limit in limit(), strict: bool) {
        for pieces in [vec![&source[..]], by(&source, 1), by(&source, 2), cut_at(&source, &cuts)] {
            check(&source, &pieces, limit, strict);
        }
    }

    #[test]
    fn any_few_bytes_equal_the_twin(
        source in prop::collection::vec(prop::sample::select(&b"data:: \r\r\n\n\nidx0\0\xef\xbb\xbf"[..]), 0..40),
        limit in limit(),
        strict: bool,
    ) {
        for pieces in [vec![&source[..]], by(&source, 1), by(&source, 3)] {
            check(&source, &pieces, limit, strict);
        }
    }
}

#[test]
fn recorded_streams_equal_the_twin() {
    for (path, source) in recorded() {
        for source in with_line_ends(&source) {
            let expected = twin(&source, NO_LIMIT, false);
            for size in [source.len().max(1), 1, 7, 4096] {
                assert_eq!(framed(&by(&source, size), NO_LIMIT, false), expected, "{} by {size}", path.display());
            }
        }
    }
}
