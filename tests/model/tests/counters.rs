//! Fences from plain counters: every simple way to make them is broken.

use model::assert_broken;
use model::counters::{Calm, Counters, Rule};

fn counters(rule: Rule) -> Counters {
    Counters { rule, counts: 3 }
}

#[test]
fn the_largest_count_of_a_quorum_falls_even_when_all_goes_well() {
    assert_eq!(assert_broken("largest count, calm", Calm), 3);
}

#[test]
fn the_largest_count_of_a_quorum() {
    assert_broken("largest count", counters(Rule::Maximum));
}

#[test]
fn the_median_of_all_counts() {
    assert_broken("median of all counts", counters(Rule::Median));
}

#[test]
fn the_counts_of_nodes_that_refused() {
    assert_broken(
        "largest count, of nodes that refused too",
        counters(Rule::MaximumWithBusy),
    );
}
