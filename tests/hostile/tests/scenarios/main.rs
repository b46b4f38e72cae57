//! All that hostile servers and publishers do to the library here, by name, and what is to come of it.
//!
//! One scenario is run alone by `cargo test -p hostile --test scenarios -- --exact NAME`; a failing one prints that.

mod common;
mod flooding;
mod forging;
mod malformed;
mod mutations;
mod stalling;

/// The scenarios: each is a test of its name, and a function of the module.
macro_rules! scenarios {
    ($($module:ident { $($name:ident)* })*) => { $($(
        #[test]
        fn $name() {
            common::run(stringify!($name), $module::$name);
        }
    )*)* };
}

scenarios! {
    // Grants that no server gave.
    forging {
        published_lines_are_no_grants_without_fences
        published_lines_are_no_grants_with_default_options
        a_message_cut_anywhere_around_the_set_up_is_no_grant
        replies_too_many_are_no_grant_without_fences
        replies_too_many_are_no_grant_with_default_options
        a_reply_to_something_else_ends_the_connection
    }
    // What is not the protocol, or not what a server says.
    malformed {
        an_empty_line_harms_its_connection_only
        garbage_harms_its_connection_only
        deep_nesting_overflows_no_stack
        absurd_replies_to_the_set_up_leave_nothing_hanging
        a_long_run_id_is_not_believed
    }
    // More than memory can hold.
    flooding {
        endless_replies_to_the_set_up_are_cut_off
        endless_replies_to_a_lock_are_cut_off
        a_flood_of_messages_fills_no_memory
        a_flood_of_replies_is_cut_off
        calls_of_unknown_waiters_cost_little
        published_calls_cost_little_on_a_real_server
        published_calls_of_a_waiter_cost_little
        a_server_that_never_reads_fills_no_memory
        long_errors_are_cut_short
    }
    // Time limits.
    stalling {
        endless_messages_do_not_keep_a_set_up_alive
        endless_messages_end_with_the_factory
        a_trickle_does_not_renew_the_node_timeout
        a_trickle_does_not_keep_a_set_up_alive
        scripts_that_stay_unknown_end_an_attempt
        a_server_that_hangs_up_is_left_alone_for_a_while
    }
    // Recorded dialogues, damaged at random.
    mutations {
        a_dialogue_is_replayed
        damaged_dialogues_do_no_harm
        damage_that_once_did_harm_does_none
    }
}
