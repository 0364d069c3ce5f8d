//! Small tables with all their margins.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tributary_disclosure::{Item, System};

/// The random numbers of a case.
pub(crate) fn numbers(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// All cells and all margins of a table with the given counts. A cell weighs 2, a margin 10 times more for each axis summed over.
///
/// Names are positions along each axis, `*` for the sum over it.
pub(crate) fn table(shape: &[usize], counts: &[u64], floor: u64) -> System {
    let mut system = System::new(counts.iter().copied());
    let kinds: usize = shape.iter().map(|n| n + 1).product();
    for kind in 0..kinds {
        let mut rest = kind;
        let mut at = Vec::new();
        for &n in shape.iter().rev() {
            at.insert(0, rest % (n + 1));
            rest /= n + 1;
        }
        let name =
            at.iter().zip(shape).map(|(&i, &n)| if i == n { "*".into() } else { i.to_string() });
        let name = name.collect::<Vec<String>>().join(",");
        let cells = (0..counts.len()).filter(|cell| {
            let mut rest = *cell;
            shape.iter().zip(&at).rev().all(|(&n, &i)| {
                let here = rest % n;
                rest /= n;
                i == n || i == here
            })
        });
        let summed = at.iter().zip(shape).filter(|(i, n)| i == n).count() as u32;
        let item = Item::count(name, cells).floor(floor).weight(2 * 10u64.pow(summed));
        // Unwrap safety: names and cells are made here.
        system.add(item).unwrap();
    }
    system
}

/// Counts of which about four in ten are under `small`.
pub(crate) fn counts(cells: usize, small: u64, largest: u64, rng: &mut ChaCha8Rng) -> Vec<u64> {
    let draw = |_| {
        let top = if rng.random_bool(0.4) { small } else { largest };
        rng.random_range(0..top)
    };
    (0..cells).map(draw).collect()
}
