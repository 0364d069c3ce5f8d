//! What may leave a site. A model's statistic becomes a [`Draft`] of labelled arrays; [`release()`] holds it against the
//! [`Policy`] and makes a [`Summary`], the only thing that travels; [`combine()`] makes the sites' summaries one.
//!
//! ```
//! use tributary_core::summary::{Array, Axis, Draft, Kind, Policy, Rule, SiteId, Support, Visibility, combine, release};
//!
//! let counted = |cells: Vec<f64>| {
//!     let axes = vec![Axis::new("sex", ["1", "2"])];
//!     let array = Array::new("cases", axes, Kind::Count, Rule::Add, cells).unwrap();
//!     Draft::new(26).with(array, Support::OwnCounts)
//! };
//! let policy = Policy { min_sites: 2, ..Policy::default() };
//! let answers = [("XA", [12.0, 14.0]), ("XB", [1.0, 25.0])].map(|(site, cells)| {
//!     let summary = release(counted(cells.to_vec()), &policy, Visibility::SumOnly, 0).unwrap();
//!     (SiteId::new(site).unwrap(), summary)
//! });
//! let pooled = combine(&answers.into_iter().collect(), &policy).unwrap();
//! assert_eq!(pooled.array("cases").unwrap().cells(), [Some(13.0), Some(39.0)]);
//! ```
#![warn(missing_docs)]
#![deny(clippy::disallowed_methods)]

mod array;
mod combine;
mod contributors;
mod draft;
mod policy;
mod release;

pub use array::{Array, Axis, Kind, Layout, LayoutError, Rule, SiteId, Summary};
pub use combine::{CombineError, combine, summed};
pub use contributors::Contributors;
pub use draft::{Draft, Support};
pub use policy::{Policy, PolicyError, preset, preset_names, rules_not_applied};
pub use release::{Hidden, HidingRule, PublicRefusal, Refusal, RefusalRule, Visibility, release};
