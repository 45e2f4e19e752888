//! Shapes and the careful parser on generated sources, from random bytes: the twin of `tests/fuzz`, for every run.
//!
//! `CHUNKWIRE_TEST_CASES` sets how many sources are made.

mod beside;
mod generated;
mod paths;
mod seeds;
mod steady;

use std::cell::{Cell, RefCell};

use chunkwire::decoder::Paths;
use generated::Case;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// So much of all chunks has to match a shape, or nothing was tested.
const LEAST_SHARE: f64 = 0.25;

fn orders() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..500)
}

/// Checks so many cases (or `CHUNKWIRE_TEST_CASES`), and says how all their chunks went.
fn check_many(cases: u32) -> Paths {
    let cases = std::env::var("CHUNKWIRE_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let sum = Cell::new(Paths::default());
    let result = TestRunner::new(config).run(&orders().prop_map(|orders| Case::new(&orders)), |case| {
        let mut all = sum.get();
        all += paths::check(&case);
        sum.set(all);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    sum.get()
}

fn share(Paths { shape, careful, .. }: Paths) -> f64 {
    shape as f64 / (shape + careful) as f64
}

#[test]
fn shapes_change_nothing_on_generated_sources() {
    let paths = check_many(1000);
    assert!(paths.shape + paths.careful > 0);
}

#[test]
fn shapes_that_others_learned_change_nothing() {
    let (lent, taken) = (RefCell::new(None), Cell::new(0));
    let config = ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&orders().prop_map(|orders| Case::new(&orders)), |case| {
        taken.set(taken.get() + u32::from(lent.borrow().is_some()));
        paths::check_lent(&case, &mut lent.borrow_mut());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(taken.get() > 50, "{} cases had shapes of others", taken.get());
}

#[test]
fn many_generated_chunks_match_a_shape() {
    let paths = check_many(200);
    assert!(share(paths) >= LEAST_SHARE, "{} of {paths:?}", share(paths));
    assert!(paths.steady * 20 > paths.shape, "{paths:?}");
}

#[test]
#[ignore = "a tool: writes seeds for the fuzzer into the folder that CHUNKWIRE_SEEDS names"]
fn write_seeds() {
    seeds::write(&orders());
}
