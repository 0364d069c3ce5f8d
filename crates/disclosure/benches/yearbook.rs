//! Time of the disclosure control of a yearbook of twelve countries pooled, certificate included.

#![allow(clippy::unwrap_used, reason = "what does not work shows by ending here")]

#[path = "../tests/it/yearbook_system.rs"]
mod yearbook_system;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tributary_disclosure::{Rules, protect};

fn yearbooks(c: &mut Criterion) {
    let mut group = c.benchmark_group("yearbook");
    group.sample_size(10);
    for scale in [1.0, 0.3, 0.1] {
        let system = yearbook_system::yearbook(scale, 1);
        group.bench_function(format!("cases × {scale}"), |b| {
            b.iter(|| protect(black_box(&system), &Rules::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, yearbooks);
criterion_main!(benches);
