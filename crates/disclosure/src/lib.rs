//! Disclosure control of linked tables: which numbers to hide so that no count under the floor can be had from the others.
//!
//! Numbers of one publication hang together: totals, subtotals, rates beside public person-years, ratios, standard errors, the
//! tables of an earlier edition. Judged table by table, hidden cells can be computed from other tables. Here a [`System`] holds the
//! finest cells and, as *items*, every number that somebody may see; [`protect()`] says which are shown and certifies, for each that is
//! not, what the best attacker finds. The functions are pure: no files, clock or randomness, the same outcome on every machine and for
//! every order of the items.
//!
//! ```
//! use tributary_disclosure::{Item, Rules, System, Why, protect};
//!
//! // Cases of two diagnoses (rows) in three age bands (columns), floor 5.
//! let mut system = System::new([3, 20, 30, 40, 50, 60]);
//! for cell in 0..6 {
//!     system.add(Item::count(format!("cell {cell}"), [cell]).floor(5))?;
//! }
//! for (row, cells) in [(0, 0..3), (1, 3..6)] {
//!     system.add(Item::count(format!("row {row}"), cells).floor(5).weight(100))?;
//! }
//! for column in 0..3 {
//!     let total = Item::count(format!("column {column}"), [column, column + 3]);
//!     system.add(total.floor(5).weight(100))?;
//! }
//! let protection = protect(&system, &Rules::default());
//! let hidden = protection.certificates();
//! assert_eq!(hidden.len(), 4); // a rectangle of cells; all totals stay
//! assert_eq!(hidden[0].why, Why::Floor);
//! assert_eq!((hidden[0].bounds.low, hidden[0].bounds.high), (0, Some(23)));
//! # Ok::<(), tributary_disclosure::SystemError>(())
//! ```
//!
//! # What counts as protected
//!
//! An attacker knows all that is shown, that counts are integers of 0 or more, and nothing else. His interval for an item runs from the
//! smallest to the largest value over all tables that agree with what he knows. An *unsafe* item, one with a true value of 1 to
//! floor − 1 (and 0, if [`Rules::zero_is_safe`] is false), is protected if this interval
//!
//! 1. is at least as wide as the floor, and
//! 2. reaches the floor, so that he cannot even tell that the count is under it.
//!
//! The second follows from the first for a sum of cells, since its interval starts at 0 or more; for a difference of totals it is a
//! condition of its own. Both can always be met unless numbers that are public already stand against it: with everything hidden
//! every interval is open. Where earlier editions do stand against it, the item is a [breach](Protection::breaches), and its numbers
//! are given; nothing is claimed for it. The interval need not contain 0, so a reader may learn that there was somebody.
//!
//! The attacker that is reckoned with is the strongest one, who uses that counts are integers: a rate with many decimals leaves a wide
//! range of fractions but perhaps one table of integers. So linear programs alone prove nothing. Each end of a certificate is a
//! *witness*, a table of non-negative integers found by the solver and then checked against everything shown in integer arithmetic.
//! An error of the solver can cost numbers that might have been shown; it cannot give away one.
//!
//! # The rule
//!
//! 1. *Primary suppression*: unsafe items that would be printed in full are hidden.
//! 2. *Secondary suppression*: for each unsafe item that is bounded too closely, the widest need first, a linear program finds the table
//!    that moves it far enough and changes the shown items least, each at its weight; the shown items that change are hidden as its
//!    companions (after Kelly, Golden & Assad 1992; Fischetti & Salazar 2001). Where that gives no table of integers, one is
//!    searched for, then intervals that stand in the way are hidden; at last everything that rests on one of its cells.
//! 3. *Clean-up*: companions are shown again, the dearest first, as long as everything remains protected.
//!
//! Parts of the system that share no cell are treated apart. Work is counted in pivots of the simplex method, not in seconds; beyond
//! the limit more is hidden, never less.
//!
//! On 218 small tables of two dimensions with all margins the weight hidden was the least possible in 86 % of them; the median ratio is
//! 1.00, nine in ten are under 1.05, and the worst is 1.32 (`tests/it/optimum.rs`).
//!
//! A yearbook of 780 numbers (12 groups × 3 sexes × 9 age spans, cases and rates, with standardised rates beside public person-years) takes
//! about 40,000 pivots or 1.2 s of one core, certificate included; with so few cases that 300 numbers are hidden, 60,000 and 2.8 s
//! (`benches/yearbook.rs`; measured on a machine with other work).
//!
//! # What it does not do
//!
//! - It does not find what ought to be protected: a cell that no table prints, or a complement, must be added as an
//!   [unprinted](Item::unprinted) item.
//! - An attacker who runs the rule himself can exclude tables for which it would have hidden something else. He also knows that what is hidden
//!   as primary lies under the floor; that he cannot tell primary from companion is not proved.
//! - Tables that agree with what is shown are thought equally possible: knowledge from elsewhere, such as that of a parent who knows of one case,
//!   is no part of it unless it is added as a public item.
//!
//! # Sources
//!
//! Cox (1980) on complementary suppression; Kelly, Golden & Assad (1992), *Networks* 22; Willenborg & de Waal (2001); Fischetti & Salazar
//! (2001), *Management Science* 47; Hundepool et al. (2012), *Statistical Disclosure
//! Control*.

#![warn(missing_docs)]

mod attack;
mod companions;
mod elimination;
mod fact;
mod protect;
mod system;

pub use fact::Fact;
pub use protect::{Bounds, Certificate, Protection, Rules, Why, attack, determined, protect};
pub use system::{Item, ItemId, System, SystemError};
