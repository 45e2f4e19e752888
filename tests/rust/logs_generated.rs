//! Generated logs, from random bytes: the twin of `tests/fuzz/targets/logs.rs`, for every run.
//!
//! `CHUNKWIRE_TEST_CASES` sets how many logs are made.

mod generated;
mod seeds;
mod unwrapped;
mod wrapped;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use wrapped::Case;

fn orders() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..500)
}

#[test]
fn generated_logs_are_the_same_in_whatever_way_they_are_read() {
    let cases = std::env::var("CHUNKWIRE_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(800);
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_time: 5_000, ..ProptestConfig::default() };
    let (chunks, undamaged) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let result = TestRunner::new(config).run(&orders().prop_map(|orders| Case::new(&orders)), |case| {
        chunks.set(chunks.get() + unwrapped::check(&case));
        undamaged.set(undamaged.get() + u32::from(case.held.is_some()));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // Or nothing was tested.
    assert!(chunks.get() > 2 * u64::from(cases), "{} chunks", chunks.get());
    assert!(undamaged.get() > cases / 4, "{} are undamaged", undamaged.get());
}

#[test]
#[ignore = "a tool: writes seeds for the fuzzer into the folder that CHUNKWIRE_SEEDS names"]
fn write_seeds() {
    seeds::write(&orders());
}
