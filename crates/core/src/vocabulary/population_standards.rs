//! Age weights for standardised incidence: published standard populations.

/// Names of the standards in specifications, with the tables that hold them, finest first.
const STANDARDS: [(&str, &[&str]); 6] = [
    ("world", &["segi1960_19", "segi1960_18"]),
    ("who2000", &["who2000_19", "who2000_18"]),
    ("europe1976", &["esp1976_19", "esp1976_18"]),
    ("europe2013", &["esp2013_20", "esp2013_19", "esp2013_18"]),
    ("us2000", &["us2000_million_19", "us2000_18"]),
    ("nordic2000", &["nordic2000_18"]),
];

const TABLE: &str = include_str!("standard_populations.csv");

/// Names of the standards: Segi's world population as modified by Doll (1960), WHO 2000–2025, European 1976 and 2013, US 2000 and
/// Nordic 2000.
pub fn names() -> Vec<&'static str> {
    STANDARDS.iter().map(|(name, _)| *name).collect()
}

/// Ranges of ages with their weights; the last is open (`u32::MAX`).
fn cells(table: &str) -> Vec<([u32; 2], f64)> {
    let line = |line: &str| {
        let mut fields = line.split(',');
        (fields.next()? == table).then_some(())?;
        let from: u32 = fields.next()?.parse().ok()?;
        let to = fields.next()?.parse().map_or(u32::MAX, |last: u32| last + 1);
        Some(([from, to], fields.next()?.parse().ok()?))
    };
    TABLE.lines().filter_map(line).collect()
}

/// Weights of a standard for bands of ages (first age, first age no longer in it); 0 for bands outside `ages`. They add up to 1.
/// `None` if the standard is not known or a band does not lie along its ranges of ages. A last band that begins with the open ages
/// of the standard has their weight also where it is closed, as where a registry counts to 89 years.
pub fn weights(name: &str, bands: &[[u32; 2]], ages: [u32; 2]) -> Option<Vec<f64>> {
    let (_, tables) = STANDARDS.iter().find(|(n, _)| *n == name)?;
    tables.iter().find_map(|table| {
        let mut weights = vec![0.0; bands.len()];
        for ([from, to], weight) in cells(table) {
            if to <= ages[0] || from >= ages[1] {
                continue;
            }
            let Some(at) = bands.iter().position(|b| from >= b[0] && from < b[1]) else { continue };
            let is_last = bands[at][1] >= ages[1] && from == bands[at][0];
            if to > bands[at][1] && !(to == u32::MAX && is_last) {
                return None;
            }
            weights[at] += weight;
        }
        let empty = |(band, weight): (&[u32; 2], &f64)| {
            *weight == 0.0 && band[0] >= ages[0] && band[1] <= ages[1]
        };
        if bands.iter().zip(&weights).any(empty) {
            return None;
        }
        let total: f64 = weights.iter().sum();
        (total > 0.0).then(|| weights.iter().map(|w| w / total).collect())
    })
}

/// Name of a standard for readers, with what its open last weight stands for where the last band is closed.
pub fn described(name: &str, bands: &[[u32; 2]]) -> String {
    let open = STANDARDS.iter().filter(|(n, _)| *n == name).flat_map(|(_, tables)| tables.iter());
    let mut open = open.flat_map(|table| cells(table)).filter(|([_, to], _)| *to == u32::MAX);
    let closed = bands.last().filter(|b| b[1] != u32::MAX);
    match closed.and_then(|band| open.find(|([from, _], _)| *from == band[0]).map(|_| band)) {
        Some([from, to]) => {
            format!("{name} (weight of ages {from} and over for {from}–{})", to - 1)
        }
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standards_are_cut_and_rescaled() {
        let children = [[0, 5], [5, 10], [10, 15]];
        let segi = weights("world", &children, [0, 15]).unwrap();
        for (w, wanted) in segi.iter().zip([12.0, 10.0, 9.0]) {
            assert!((w - wanted / 31.0).abs() < 1e-12);
        }
        let infants = [[0, 1], [1, 5], [5, 10], [10, 15], [15, 20]];
        let segi = weights("world", &infants, [0, 20]).unwrap();
        assert!((segi[0] - 2.4 / 40.0).abs() < 1e-12 && (segi[4] - 9.0 / 40.0).abs() < 1e-12);
        assert_eq!(weights("world", &infants, [0, 15]).unwrap()[4], 0.0);
        // Weights as they are published, per hundred; those of WHO add up to 100.035, four ages from 85 on together.
        let five = |i: u32| [5 * i, if i == 17 { u32::MAX } else { 5 * i + 5 }];
        let groups: Vec<[u32; 2]> = (0..18).map(five).collect();
        for (name, first, last, total) in [
            ("world", 12.0, 0.5, 100.0),
            ("who2000", 8.86, 0.635, 100.035),
            ("europe1976", 8.0, 1.0, 100.0),
            ("europe2013", 5.0, 2.5, 100.0),
            ("nordic2000", 5.9, 1.9, 100.0),
            ("us2000", 6.9135, 1.5508, 100.0),
        ] {
            let found = weights(name, &groups, [0, u32::MAX]).unwrap();
            assert!((found[0] - first / total).abs() < 2e-5, "{name}: {}", found[0]);
            assert!((found[17] - last / total).abs() < 2e-5, "{name}: {}", found[17]);
        }
        // Ages to 89: 85 to 89 have the weight of 85 and over, and a band that only ends in the open ages has none.
        let mut closed = groups.clone();
        closed[17][1] = 90;
        let open = weights("world", &groups, [0, u32::MAX]);
        assert_eq!(weights("world", &closed, [0, 90]), open);
        assert_eq!(described("world", &closed), "world (weight of ages 85 and over for 85–89)");
        assert_eq!(described("world", &groups), "world");
        assert_eq!(described("world", &children), "world");
        let wide = [[0, 5], [5, 80], [80, 90]];
        assert!(weights("world", &wide, [0, 90]).is_none());
        // No weight for the first year of life alone, and no bands of three years.
        assert!(weights("nordic2000", &infants, [0, 15]).is_none());
        assert!(weights("world", &[[0, 3], [3, 6]], [0, 6]).is_none());
        assert!(weights("mars", &children, [0, 15]).is_none());
        for name in names() {
            let wide = [[0, 5], [5, 15], [15, 50], [50, 85], [85, u32::MAX]];
            let sum: f64 = weights(name, &wide, [0, u32::MAX]).unwrap().iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{name}");
        }
    }
}
