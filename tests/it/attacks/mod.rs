//! Attackers who ask ordinary questions. Each gets persons or small counts where the rule against it is off (the control), and nothing
//! where it holds; and what honest people ask is answered all the same (the twin).

mod questions;
