//! A yearbook: what must remain, and how much work it is.

use tributary_disclosure::{Rules, attack, protect};

use crate::yearbook_system::yearbook;

#[test]
fn a_pooled_yearbook_shows_all_its_totals() {
    let system = yearbook(1.0, 1);
    let protection = protect(&system, &Rules::default());
    let hidden: Vec<_> = system.ids().filter(|id| !protection.shows(*id)).collect();
    println!(
        "{} items, {} hidden, loss {}, {} pivots",
        system.len(),
        hidden.len(),
        protection.loss(&system),
        protection.pivots()
    );
    assert_eq!(protection.breaches().count(), 0);
    // Every count and every crude rate of ages 0–14 and 0–19.
    for &id in &hidden {
        let name = system.item(id).name();
        let is_total = name.contains("0-14") || name.contains("0-19");
        assert!(!is_total || name.ends_with("standardised"), "{name} is hidden");
    }
    // Some 2 s of one core in a release build take about 100,000 pivots.
    assert!(protection.pivots() < 100_000);
    // An attack that knows nothing of how the pattern was found agrees with the certificates.
    let bounds = attack(&system, |id| protection.shows(id), &Rules::default());
    for certificate in protection.certificates() {
        let found = bounds[certificate.item.index()];
        let value = system.value(certificate.item);
        assert!(found.low <= value && found.high.is_none_or(|high| high >= value));
        if (1..5).contains(&value) {
            let kept = certificate.bounds;
            assert!(kept.high.is_none_or(|high| high - kept.low >= 5), "{kept:?}");
        }
    }
}

#[test]
fn a_yearbook_of_few_cases_hides_more_and_holds() {
    let system = yearbook(0.1, 1);
    let protection = protect(&system, &Rules { pivots: 20_000, ..Rules::default() });
    assert_eq!(protection.breaches().count(), 0);
    let pooled = system.find("all groups, both, 0-14, cases").unwrap();
    assert!(protection.shows(pooled));
}
