//! Laws that hold for every system.

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
};
use tributary_disclosure::{
    Bounds, Certificate, Fact, Item, ItemId, Protection, Rules, System, attack, protect,
};

/// Items that are sums of a few cells, with floors, weights and prints of every kind.
#[derive(Debug, Clone)]
struct Draft {
    cells: Vec<usize>,
    floor: u64,
    weight: u64,
    width: Option<i64>,
    is_public: bool,
}

fn drafts(cells: usize) -> impl Strategy<Value = Vec<Draft>> {
    let draft = (
        prop::collection::vec(0..cells, 1..4),
        prop::sample::select(vec![0u64, 3, 5]),
        1..20u64,
        prop::option::weighted(0.3, 0..6i64),
        prop::bool::weighted(0.1),
    );
    let draft = draft.prop_map(|(mut cells, floor, weight, width, is_public)| {
        cells.sort_unstable();
        cells.dedup();
        Draft { cells, floor, weight, width, is_public }
    });
    prop::collection::vec(draft, 2..14)
}

fn cases() -> impl Strategy<Value = (Vec<u64>, Vec<Draft>)> {
    prop::collection::vec(prop::sample::select(vec![0u64, 1, 2, 4, 7, 20]), 4..9)
        .prop_flat_map(|counts| (Just(counts.clone()), drafts(counts.len())))
}

fn item(name: usize, draft: &Draft, counts: &[u64]) -> Item {
    let value: i64 = draft.cells.iter().map(|c| counts[*c] as i64).sum();
    let item = Item::count(format!("item {name:02}"), draft.cells.clone());
    let item = item.floor(draft.floor).weight(draft.weight);
    let item = if draft.is_public { item.public() } else { item };
    let Some(width) = draft.width else { return item };
    let terms = draft.cells.iter().map(|c| (*c, 1));
    item.telling([Fact::new(terms, Some(value - width), Some(value + width / 2))])
}

fn system(counts: &[u64], drafts: &[Draft], order: impl Iterator<Item = usize>) -> System {
    let mut system = System::new(counts.iter().copied());
    for i in order {
        system.add(item(i, &drafts[i], counts)).unwrap();
    }
    system
}

/// Names and bounds of what is hidden, in the order of names.
fn outcome(system: &System, protection: &Protection) -> Vec<(String, bool, Bounds)> {
    let name = |id: ItemId| system.item(id).name().to_owned();
    let certificates = protection.certificates().iter();
    let mut found: Vec<_> =
        certificates.map(|c| (name(c.item), protection.shows(c.item), c.bounds)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn width(bounds: Bounds) -> i64 {
    bounds.high.map_or(i64::MAX, |high| high - bounds.low)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_order_of_items_does_not_matter((counts, drafts) in cases(), seed in any::<u64>()) {
        let plain = system(&counts, &drafts, 0..drafts.len());
        let mut order: Vec<usize> = (0..drafts.len()).collect();
        order.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(seed | 1));
        let shuffled = system(&counts, &drafts, order.into_iter());
        let rules = Rules::default();
        let (a, b) = (protect(&plain, &rules), protect(&shuffled, &rules));
        prop_assert_eq!(outcome(&plain, &a), outcome(&shuffled, &b));
    }

    #[test]
    fn items_of_other_cells_change_nothing((counts, drafts) in cases(), other in cases()) {
        let rules = Rules::default();
        let alone = system(&counts, &drafts, 0..drafts.len());
        let first = counts.len();
        let mut both = System::new(counts.iter().chain(&other.0).copied());
        for (i, draft) in drafts.iter().enumerate() {
            both.add(item(i, draft, &counts)).unwrap();
        }
        for (i, draft) in other.1.iter().enumerate() {
            let cells = draft.cells.iter().map(|c| c + first);
            both.add(Item::count(format!("a {i}"), cells).floor(draft.floor)).unwrap();
        }
        let kept = |found: Vec<(String, bool, Bounds)>| -> Vec<_> {
            found.into_iter().filter(|(name, ..)| name.starts_with("item")).collect()
        };
        let found = outcome(&both, &protect(&both, &rules));
        prop_assert_eq!(outcome(&alone, &protect(&alone, &rules)), kept(found));
    }

    #[test]
    fn every_unsafe_item_holds_unless_public_numbers_give_it_away((counts, drafts) in cases()) {
        let system = system(&counts, &drafts, 0..drafts.len());
        let protection = protect(&system, &Rules::default());
        // The attack on the outcome finds what the certificates say; of companions they may say less.
        let bounds = attack(&system, |id| protection.shows(id), &Rules::default());
        let public = attack(&system, |id| drafts[id.index()].is_public, &Rules::default());
        for certificate in protection.certificates() {
            let id = certificate.item;
            let (value, floor) = (system.value(id), drafts[id.index()].floor as i64);
            prop_assert!(certificate.bounds.low <= value);
            prop_assert!(certificate.bounds.high.is_none_or(|high| high >= value));
            let (ours, found) = (certificate.bounds, bounds[id.index()]);
            let is_inside = ours.low >= found.low
                && found.high.is_none_or(|f| ours.high.is_some_and(|o| o <= f));
            prop_assert!(is_inside, "{:?} {:?}", found, certificate);
            if value < 1 || value >= floor {
                continue;
            }
            prop_assert_eq!(ours, found);
            let is_wide = |b: Bounds| width(b) >= floor && b.high.is_none_or(|high| high >= floor);
            prop_assert_eq!(certificate.holds, is_wide(certificate.bounds));
            prop_assert!(certificate.holds || !is_wide(public[id.index()]), "{:?}", certificate);
        }
    }

    #[test]
    fn one_unsafe_item_more_takes_no_protection_from_the_others((counts, drafts) in cases()) {
        let plain = system(&counts, &drafts, 0..drafts.len());
        let mut stricter = drafts.clone();
        stricter[0].floor = 5;
        let strict = system(&counts, &stricter, 0..drafts.len());
        let (a, b) = (protect(&plain, &Rules::default()), protect(&strict, &Rules::default()));
        let others = |c: &&Certificate| c.holds && c.item.index() > 0;
        for certificate in a.certificates().iter().filter(others) {
            let same = b.certificates().iter().find(|c| c.item == certificate.item);
            let is_unsafe = (1..drafts[certificate.item.index()].floor as i64)
                .contains(&plain.value(certificate.item));
            prop_assert!(!is_unsafe || same.is_some_and(|c| c.holds));
        }
    }

    #[test]
    fn less_work_hides_more_and_holds_all_the_same((counts, drafts) in cases(), pivots in 0..30u64) {
        let system = system(&counts, &drafts, 0..drafts.len());
        let full = protect(&system, &Rules::default());
        let short = protect(&system, &Rules { pivots, ..Rules::default() });
        for certificate in full.certificates().iter().filter(|c| c.holds) {
            let id = certificate.item;
            let floor = drafts[id.index()].floor as i64;
            if (1..floor).contains(&system.value(id)) {
                let bounds = attack(&system, |id| short.shows(id), &Rules::default());
                prop_assert!(width(bounds[id.index()]) >= floor);
            }
        }
    }
}
