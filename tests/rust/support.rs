//! What the tests of the rooms share: recorded streams in, pieces, line ends and proptest's settings out.
#![allow(dead_code)] // every test is a crate of its own and uses a part of this

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

/// The source in pieces of `size` bytes.
pub fn by(source: &[u8], size: usize) -> Vec<&[u8]> {
    source.chunks(size).collect()
}

/// The source cut at these places; empty pieces are among them.
pub fn cut_at<'a>(source: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(source.len() + 1)).collect();
    places.sort_unstable();
    places.push(source.len());
    let mut start = 0;
    places.into_iter().map(|end| &source[std::mem::replace(&mut start, end)..end]).collect()
}

/// All ways to cut a short source: whole, byte by byte, by twos and threes, and in two at every byte.
pub fn all_cuts(source: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![source], by(source, 1), by(source, 2), by(source, 3), vec![source, b"", b""]];
    ways.extend((0..=source.len()).map(|at| vec![&source[..at], &source[at..]]));
    ways
}

/// The source as it is and, where its line ends are all LF, with CR and with CRLF instead.
pub fn with_line_ends(source: &[u8]) -> Vec<Vec<u8>> {
    let mut sources = vec![source.to_vec()];
    if !source.contains(&b'\r') {
        sources.push(source.iter().map(|&byte| if byte == b'\n' { b'\r' } else { byte }).collect());
        sources
            .push(source.iter().flat_map(|&byte| if byte == b'\n' { b"\r\n".to_vec() } else { vec![byte] }).collect());
    }
    sources
}

/// Places to cut a source at.
pub fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..8)
}

/// So many cases (or `PROPTEST_CASES`), and no files with failed ones: what fails is to become a named test.
pub fn cases(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The sample streams of this repository, and the recorded ones in the folder that `CHUNKWIRE_STREAMS` names, if it
/// does: their paths and bytes.
pub fn recorded() -> Vec<(PathBuf, Vec<u8>)> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let recorded = std::env::var_os("CHUNKWIRE_STREAMS").map(PathBuf::from);
    let mut paths: Vec<PathBuf> = [Some(samples), recorded]
        .into_iter()
        .flatten()
        .filter_map(|folder| folder.read_dir().ok())
        .flatten()
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).expect("a readable file"))).collect()
}
