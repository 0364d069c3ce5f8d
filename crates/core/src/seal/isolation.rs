//! Which lists of sites may be opened together.
//!
//! Two sums over lists that differ by one site give that site's part by subtraction; with more lists, other combinations do.
//! The rule: no linear combination of the opened lists may rest on fewer than `min_sites` sites. With a list as a row of 0
//! and 1 over the sites, a combination that rests within a set T of sites exists exactly if leaving out the columns of T lowers
//! the rank; so the rank must stay the same for every T of `min_sites` − 1 sites.

use std::collections::BTreeSet;

use crate::summary::SiteId;

/// Moduli of the rank; the rank over the rationals is at least the larger of the two.
const PRIMES: [u64; 2] = [(1 << 61) - 1, (1 << 31) - 1];

/// Whether some combination of these lists rests on fewer than `min_sites` sites.
pub fn isolates(lists: &[BTreeSet<SiteId>], min_sites: usize) -> bool {
    let sites: Vec<&SiteId> = lists.iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    if lists.iter().any(|list| list.len() < min_sites) {
        return true;
    }
    let rows: Vec<Vec<bool>> = lists
        .iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|list| sites.iter().map(|site| list.contains(*site)).collect())
        .collect();
    let full = rank(&rows, &[]);
    let size = (min_sites.max(1) - 1).min(sites.len());
    subsets(sites.len(), size).any(|left_out| rank(&rows, &left_out) < full)
}

/// All sets of `size` of the numbers below `n`, in order.
fn subsets(n: usize, size: usize) -> impl Iterator<Item = Vec<usize>> {
    let first: Vec<usize> = (0..size).collect();
    std::iter::successors(Some(first), move |set| {
        let mut next = set.clone();
        let at = (0..size).rev().find(|&i| next[i] < n - size + i)?;
        next[at] += 1;
        for i in at + 1..size {
            next[i] = next[i - 1] + 1;
        }
        Some(next)
    })
}

fn rank(rows: &[Vec<bool>], left_out: &[usize]) -> usize {
    PRIMES.iter().map(|&p| rank_modulo(rows, left_out, p)).max().unwrap_or(0)
}

/// Rank by elimination in the field of `p` elements.
fn rank_modulo(rows: &[Vec<bool>], left_out: &[usize], p: u64) -> usize {
    let times = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(p)) as u64;
    let mut matrix: Vec<Vec<u64>> = rows
        .iter()
        .map(|row| {
            let kept = row.iter().enumerate().filter(|(j, _)| !left_out.contains(j));
            kept.map(|(_, &in_list)| u64::from(in_list)).collect()
        })
        .collect();
    let columns = matrix.first().map_or(0, Vec::len);
    let mut rank = 0;
    for column in 0..columns {
        let Some(pivot) = (rank..matrix.len()).find(|&i| matrix[i][column] != 0) else { continue };
        matrix.swap(rank, pivot);
        let top = matrix[rank].clone();
        for row in &mut matrix[rank + 1..] {
            let factor = row[column];
            if factor == 0 {
                continue;
            }
            for (cell, above) in row.iter_mut().zip(&top) {
                // row · top[c] − top · row[c], without a division.
                let left = times(*cell, top[column]);
                *cell = (left + p - times(*above, factor)) % p;
            }
        }
        rank += 1;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(sites: &str) -> BTreeSet<SiteId> {
        sites.chars().map(|c| SiteId::new(&c.to_string()).unwrap()).collect()
    }

    fn isolated(lists: &[&str], min_sites: usize) -> bool {
        isolates(&lists.iter().map(|l| list(l)).collect::<Vec<_>>(), min_sites)
    }

    #[test]
    fn one_list_needs_enough_sites() {
        assert!(!isolated(&["ABC"], 3));
        assert!(isolated(&["AB"], 3));
        assert!(isolated(&[""], 3));
        assert!(!isolated(&["ABC", "ABC"], 3));
    }

    #[test]
    fn two_lists_may_not_differ_by_fewer_sites_than_a_sum_needs() {
        assert!(isolated(&["ABCDE", "ABCD"], 3));
        assert!(isolated(&["ABCDE", "ABC"], 3));
        assert!(!isolated(&["ABCDEF", "ABC"], 3));
        assert!(isolated(&["ABCDE", "ABCDF"], 3)); // E − F
        assert!(!isolated(&["ABCD", "EFGH"], 3));
    }

    /// {1…6} − {1,2,3} = {4,5,6}; {4,5,6,7} less that is 7 alone: no pair gives it away, the three do.
    #[test]
    fn combinations_of_three_lists_are_seen() {
        assert!(!isolated(&["ABCDEF", "ABC"], 3));
        assert!(!isolated(&["ABC", "DEFG"], 3));
        assert!(!isolated(&["ABCDEF", "DEFGHIJ"], 3));
        assert!(isolated(&["ABCDEF", "ABC", "DEFG"], 3));
    }

    /// Against the definition, over all small combinations with integer weights.
    #[test]
    fn agrees_with_trying_all_combinations() {
        let all: Vec<&str> = vec!["ABC", "ABD", "ABCD", "BCDE", "ABCDE", "CDEF", "ABCDEF", "AEF"];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate().skip(i) {
                for c in all.iter().skip(j) {
                    let lists = [list(a), list(b), list(c)];
                    let mut found = false;
                    for weights in 0..7_i32.pow(3) {
                        let w = [weights % 7 - 3, weights / 7 % 7 - 3, weights / 49 - 3];
                        let support = "ABCDEF"
                            .chars()
                            .filter(|s| {
                                let site = SiteId::new(&s.to_string()).unwrap();
                                let sum: i32 = lists
                                    .iter()
                                    .zip(w)
                                    .map(|(l, w)| if l.contains(&site) { w } else { 0 })
                                    .sum();
                                sum != 0
                            })
                            .count();
                        found |= support > 0 && support < 3;
                    }
                    assert_eq!(isolates(&lists, 3), found, "{a} {b} {c}");
                }
            }
        }
    }
}
