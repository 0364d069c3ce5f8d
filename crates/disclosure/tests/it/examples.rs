//! An example solved by hand, and one case for each kind of item.
//!
//! R's `sdcTable` and `GaussSuppression` are not among Debian's packages, so that their outputs are not compared.

use tributary_disclosure::{
    Bounds, Certificate, Fact, Item, ItemId, Protection, Rules, System, SystemError, Why, protect,
};

fn certificate(protection: &Protection, id: ItemId) -> &Certificate {
    protection.certificates().iter().find(|c| c.item == id).unwrap()
}

fn run(system: &System) -> Protection {
    protect(system, &Rules::default())
}

#[test]
fn investment_by_activity_and_region_is_hidden_as_by_hand() {
    // A small table as those with which the literature introduces cell suppression: rows are activities I to III, columns regions A to
    // C; the cell of II and C is sensitive. By hand: it needs a rectangle, and of the four that hold it the companions weigh
    // 8 + 17 + 12 = 37, 8 + 20 + 10 = 38, 19 + 32 + 12 = 63 and 19 + 50 + 10 = 79. In the first the cell can fall by 17 and rise by 8.
    let counts = [20, 50, 10, 8, 19, 22, 17, 32, 12];
    let mut system = System::new(counts);
    let mut ids = Vec::new();
    for (cell, &count) in counts.iter().enumerate() {
        // The loss is the value hidden.
        let item = Item::count(format!("cell {cell}"), [cell]).weight(count);
        let item = if cell == 5 { item.dominated(10) } else { item };
        ids.push(system.add(item).unwrap());
    }
    for line in 0..3 {
        let row = Item::count(format!("row {line}"), (0..3).map(|c| 3 * line + c)).weight(1000);
        let column = Item::count(format!("column {line}"), (0..3).map(|r| 3 * r + line));
        system.add(row).unwrap();
        system.add(column.weight(1000)).unwrap();
    }
    let protection = run(&system);
    let hidden: Vec<usize> = (0..9).filter(|c| !protection.shows(ids[*c])).collect();
    assert_eq!(hidden, [3, 5, 6, 8]);
    assert_eq!(protection.loss(&system), 22 + 8 + 17 + 12);
    let found = certificate(&protection, ids[5]);
    assert_eq!(found.bounds, Bounds { low: 5, high: Some(30) });
    assert_eq!(found.why, Why::Dominance);
    assert_eq!(certificate(&protection, ids[3]).why, Why::Companion(ids[5]));
}

#[test]
fn a_share_of_58_of_60_gives_away_two() {
    let mut system = System::new([58, 2]);
    let verified = system.add(Item::count("verified", [0]).floor(5)).unwrap();
    let all = system.add(Item::count("all", [0, 1]).floor(5).weight(10)).unwrap();
    let rest = system.add(Item::count("not verified", [1]).floor(5).unprinted()).unwrap();
    let protection = run(&system);
    assert!(!protection.shows(verified) && protection.shows(all) && !protection.shows(rest));
    assert_eq!(certificate(&protection, rest).bounds, Bounds { low: 0, high: Some(60) });
}

#[test]
fn a_rate_stays_where_its_rounding_is_coarse_enough() {
    let with_rate = |person_years: f64| {
        let mut system = System::new([3, 200]);
        let count = system.add(Item::count("cases", [0]).floor(5)).unwrap();
        let fact = Fact::rate([0], 3, person_years, 1e6, 1);
        let rate = system.add(Item::count("rate", [0]).telling([fact])).unwrap();
        let protection = run(&system);
        assert!(!protection.shows(count));
        assert_eq!(protection.breaches().count(), 0);
        protection.shows(rate)
    };
    // 0.1 per million is one case in 10 million person-years.
    assert!(!with_rate(1e7));
    assert!(with_rate(1e8));
}

#[test]
fn a_ratio_beside_a_count_gives_away_the_other_count() {
    let mut system = System::new([30, 4]);
    let boys = system.add(Item::count("boys", [0]).floor(5).weight(10)).unwrap();
    let girls = system.add(Item::count("girls", [1]).floor(5)).unwrap();
    let told = Fact::ratio(&[(0, 30)], &[(1, 4)], 7.45, 7.55);
    let ratio = system.add(Item::count("ratio", []).telling(told)).unwrap();
    let protection = run(&system);
    assert!(protection.shows(boys) && !protection.shows(girls) && !protection.shows(ratio));
}

#[test]
fn what_an_earlier_edition_gives_away_is_a_breach_and_is_said() {
    let mut system = System::new([3, 40]);
    let small = system.add(Item::count("small", [0]).floor(5)).unwrap();
    system.add(Item::count("large", [1]).public()).unwrap();
    system.add(Item::count("both", [0, 1]).public()).unwrap();
    let protection = run(&system);
    assert!(!protection.shows(small));
    let breaches: Vec<ItemId> = protection.breaches().map(|c| c.item).collect();
    assert_eq!(breaches, [small]);
    assert_eq!(certificate(&protection, small).bounds, Bounds { low: 3, high: Some(3) });
}

#[test]
fn zero_is_shown_or_hidden_as_the_rules_say() {
    let mut system = System::new([0, 30, 40]);
    let zero = system.add(Item::count("zero", [0]).floor(5)).unwrap();
    system.add(Item::count("all", [0, 1, 2]).weight(10)).unwrap();
    system.add(Item::count("one", [1])).unwrap();
    system.add(Item::count("two", [2])).unwrap();
    assert!(run(&system).shows(zero));
    let wary = protect(&system, &Rules { zero_is_safe: false, ..Rules::default() });
    assert!(!wary.shows(zero) && wary.breaches().count() == 0);
}

#[test]
fn two_hidden_cells_of_one_each_do_not_protect_each_other() {
    let mut system = System::new([1, 1, 9, 30]);
    let ids: Vec<ItemId> = (0..4)
        .map(|c| system.add(Item::count(format!("cell {c}"), [c]).floor(5)).unwrap())
        .collect();
    system.add(Item::count("all", 0..4).weight(100)).unwrap();
    let protection = run(&system);
    // One more is needed; any would do.
    assert_eq!(ids.iter().filter(|id| !protection.shows(**id)).count(), 3);
}

#[test]
fn an_item_that_does_not_fit_is_refused_with_its_reason() {
    let mut system = System::new([1, 2]);
    system.add(Item::count("one", [0])).unwrap();
    let twice = system.add(Item::count("one", [1])).unwrap_err();
    assert_eq!(twice, SystemError::Name("one".to_owned()));
    let nowhere = system.add(Item::count("three", [2])).unwrap_err();
    assert_eq!(nowhere.to_string(), "`three` names cell 2, but there are 2 cells, numbered from 0");
    let untrue = Item::count("two", [1]).telling([Fact::new([(1, 1)], Some(3), None)]);
    assert_eq!(system.add(untrue).unwrap_err(), SystemError::Untrue("two".to_owned()));
}
