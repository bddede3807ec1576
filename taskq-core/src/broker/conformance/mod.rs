//! The conformance suite: what every broker promises, one case per promise.
//!
//! A new broker is tested in two steps. Write a [`Harness`]: how to get a fresh, isolated broker and how to move
//! its clock. Then name it in one line of a test binary; every case becomes a test of its own:
//!
//! ```ignore
//! mod mine {
//!     use super::MyHarness;
//!     taskq_core::conformance_tests!(MyHarness::start().await);
//! }
//! ```
//!
//! The expression is evaluated anew for each case. The crate that does this needs `tokio` (with `macros` and `rt`)
//! and `taskq-core` with feature `testing`.
//!
//! Cases know only the contracts in [`broker`](super). They never wait for real time to pass: where a promise speaks
//! of time they move the broker's clock, so a harness should offer leases that are long in real time. A process that
//! dies is a consumer that falls silent: it is kept, but beats no more. [`CASES`] is the table for runners of their own.

pub mod attach;
mod bench;
pub mod claim;
pub mod close;
pub mod control;
pub mod crash;
pub mod depth;
pub mod enqueue;
pub mod events;
pub mod expires;
pub mod find;
pub mod finish;
pub mod fleet;
pub mod lease;
pub mod once;
pub mod pause;
pub mod progress;
pub mod purge;
pub mod records;
pub mod replay;
pub mod retention;
pub mod revoke;
pub mod server;
pub mod shares;
pub mod started;
pub mod totals;
mod verdicts;
pub mod watch;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Backend;
use crate::error::Error;
use crate::id::QueueName;

pub use bench::{Bench, ids};
pub use verdicts::{dead, done, failed, retry, return_, revoked, snooze, untracked};

/// A case that takes longer than this hangs.
const CASE_DEADLINE: Duration = Duration::from_secs(120);

/// One broker under test, empty at first and isolated from all others: what a case gets for itself.
#[async_trait]
pub trait Harness: Debug + Send + Sync + 'static {
    /// A connection to this broker. Called again, it answers another one to the same broker.
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error>;

    /// Moves the broker's clock forward at once: due times, leases, registrations and retention come that much nearer,
    /// and claims that wait look again.
    async fn advance(&self, by: Duration) -> Result<(), Error>;

    /// Puts bytes at the back of the list of `priority` as they are, as a foreign producer would.
    async fn push_raw(&self, queue: &QueueName, priority: u8, body: &[u8]) -> Result<(), Error>;

    /// The lease that consumers ask for: long enough that no case outlasts a tenth of it in real time.
    fn lease(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// A case as the table holds it: it takes a bench and fails by panic or by the broker's error.
pub type Case = fn(Bench) -> Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// Runs one case on a fresh broker.
///
/// # Panics
/// When the promise is broken, the broker answers an error, or the case hangs.
pub async fn run<F>(harness: impl Harness, case: impl FnOnce(Bench) -> F)
where
    F: Future<Output = Result<(), Error>>,
{
    let kept = async { case(Bench::new(harness).await?).await };
    match tokio::time::timeout(CASE_DEADLINE, kept).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("the broker answered an error: {error:?}"),
        Err(_) => panic!("the case hangs: no end after {CASE_DEADLINE:?}"),
    }
}

/// Makes one `#[tokio::test]` per case; the expression (it may `.await`) makes a [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::__conformance_cases! { [$crate::__conformance_test] $harness }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    ($harness:expr; $($theme:ident { $($case:ident)* })*) => {
        $($(
            #[tokio::test]
            async fn $case() {
                $crate::broker::conformance::run(
                    $harness,
                    $crate::broker::conformance::$theme::$case,
                )
                .await;
            }
        )*)*
    };
}

macro_rules! table {
    ($_none:expr; $($theme:ident { $($case:ident)* })*) => {
        &[$($( (stringify!($case), |bench| Box::pin($theme::$case(bench))), )*)*]
    };
}

/// Every promise, by theme.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ([$($then:tt)*] $harness:expr) => {
        $($then)*! { $harness;
            enqueue {
                what_is_accepted_can_be_claimed
                messages_come_in_order
                a_batch_is_accepted_whole_or_not_at_all
                a_tracked_message_has_a_record_at_once
                an_untracked_message_has_none
                sending_again_does_not_forget_a_final_record
                sending_again_does_not_forget_a_failure
                what_is_delayed_does_not_come_before_it_is_due
                an_eta_is_a_time_of_the_brokers_clock
                an_eta_in_the_past_is_due_at_once
                a_higher_priority_comes_first
                a_message_stays_in_its_queue
            }
            claim {
                a_claim_answers_never_more_than_asked
                an_empty_claim_comes_back
                enqueue_wakes_a_waiting_claim
                what_becomes_due_wakes_a_waiting_claim
                what_is_returned_wakes_a_waiting_claim
                every_queue_is_served
                a_full_queue_hides_no_other
                room_for_one_is_room_for_any_queue
                a_claim_is_bounded_by_bytes
                a_dropped_claim_loses_nothing
                no_message_is_held_twice
                a_foreign_message_is_delivered
                what_can_not_be_decoded_is_delivered_as_it_came
            }
            shares {
                claims_of_one_keep_the_weights
                claims_of_many_keep_the_weights
                a_queue_with_nothing_gives_its_share_away
                what_had_nothing_has_saved_nothing_up
                in_strict_order_the_first_come_first
                in_strict_order_the_later_get_what_is_left
            }
            attach {
                an_attached_queue_is_taken_from
                attached_twice_a_queue_has_its_new_weight
                a_detached_queue_is_left_to_others
                what_is_held_of_a_detached_queue_runs_on
                a_dropped_claim_of_a_detached_queue_is_answered
                a_detached_queue_is_closed_in_the_end
                a_detached_queue_can_be_attached_again
                a_detach_tells_whether_it_took_from_the_queue
                nothing_of_a_detached_queue_is_lost
                the_last_queue_can_be_detached
                a_retired_consumer_attaches_nothing
            }
            finish {
                a_result_is_recorded
                a_retry_comes_when_due_in_its_new_form
                a_snoozed_message_comes_when_due_unchanged
                what_is_returned_goes_to_the_front
                a_returned_message_keeps_its_priority
                what_is_dead_is_listed_with_its_reason
                a_failure_is_listed_with_its_state
                untracked_verdicts_write_no_record
                the_verdict_of_a_lost_session_does_not_count
                a_delivery_is_finished_once
                the_receipt_of_another_consumer_does_not_count
                a_final_record_is_never_overwritten
                one_finish_takes_every_kind_of_verdict
            }
            lease {
                a_beating_session_outlives_many_leases
                nobody_sweeps_within_the_lease
                silence_past_the_lease_gives_back_in_order
                many_deliveries_are_given_back
                a_lost_session_hears_of_it
                after_a_loss_the_consumer_begins_anew
                a_sweeper_past_its_own_lease_may_not_sweep
                after_an_outage_the_first_one_back_robs_nobody
                a_newcomer_may_not_sweep_at_once
                after_an_outage_the_dead_are_swept_in_the_end
                alone_after_a_long_pause_nothing_is_lost
                the_first_workers_lease_is_in_force
            }
            crash {
                each_crash_is_counted
                a_retry_does_not_forget_the_crashes
                a_crash_moves_no_message_to_another_priority
                on_its_last_life_a_message_is_a_suspect
                a_consumer_runs_one_suspect_at_a_time
                one_suspect_runs_over_all_queues
                a_finished_suspect_makes_room_for_the_next
                a_lost_suspect_makes_room_for_the_next
                a_returned_suspect_stays_one
                at_its_crash_limit_a_message_is_dead
                the_crash_limit_is_the_messages_own
                the_undecodable_have_the_default_limit
                an_untracked_crasher_leaves_no_record
                a_crash_overwrites_no_final_record
                on_crash_dead_never_runs_twice
                innocent_neighbours_survive_a_poison
            }
            close {
                what_is_held_at_close_goes_back_uncharged_in_order
                a_clean_close_leaves_nothing
                the_verdict_of_a_closed_consumer_does_not_count
                on_crash_dead_is_dead_even_after_a_close
                a_retired_consumer_claims_nothing
                a_retired_consumer_still_finishes
                a_retired_consumer_that_dies_is_charged_no_crash
            }
            records {
                an_unknown_id_has_no_record
                a_record_is_found_without_its_queue
                a_record_belongs_to_its_queue
                a_result_is_kept_for_a_day
                a_failure_is_kept_for_a_week
                a_scheduled_task_keeps_its_record
            }
            fleet {
                a_registered_worker_is_listed
                workers_are_listed_by_name
                a_registration_lapses
                a_renewed_registration_holds
                a_withdrawn_worker_is_gone_at_once
                a_published_task_outlives_its_worker_for_a_week
                publishing_again_replaces
            }
            control {
                a_question_is_answered
                every_listener_hears_a_question
                a_question_says_whom_it_is_for
                an_answer_reaches_its_own_asker
                answering_a_gone_asker_is_no_error
            }
            depth {
                every_place_is_counted
                nothing_accepted_is_ever_missing
                the_oldest_that_waits_tells_its_age
                an_id_tells_the_age_of_its_message
                the_newest_dead_come_first
                queues_are_known_by_sender_and_by_listener
            }
            once {
                a_held_key_keeps_the_second_message_out
                a_duplicate_leaves_no_trace
                within_a_batch_the_first_of_a_key_wins
                a_key_is_free_when_its_time_is_over
                duplicates_do_not_hold_a_key_for_longer
                a_key_outlives_its_task
                a_key_belongs_to_its_queue
                a_key_has_1_to_256_bytes
            }
            started {
                a_run_that_began_reads_started
                a_start_without_a_record_writes_none
                a_start_is_told_once
                the_start_of_a_lost_delivery_does_not_count
                the_start_of_anothers_delivery_does_not_count
                a_start_overwrites_no_final_record
                a_start_moves_no_message
            }
            progress {
                the_latest_progress_is_in_the_record
                progress_is_no_event
                the_progress_of_a_lost_session_does_not_count
                progress_behind_the_verdict_does_not_count
                the_last_progress_stays_with_its_attempt
            }
            events {
                what_is_sent_is_told
                what_is_not_told_is_no_event
                a_verdict_tells_the_whole_run
                a_success_is_told
                a_failure_is_told
                a_retry_is_told
                a_snooze_is_told
                a_dead_task_is_told
                a_return_is_told
                a_revocation_is_told
                a_lost_verdict_tells_nothing
                a_crash_is_told
                the_last_crash_is_told
                what_a_close_gives_back_is_told
                a_reader_goes_on_where_it_stopped
                a_position_can_be_stored
                a_reader_of_what_is_new_skips_what_was
                a_reader_knows_when_it_has_caught_up
                a_reader_stands_behind_what_is_dropped
                a_new_queue_is_read_from_its_beginning
                many_events_come_in_pages
                an_event_wakes_a_waiting_reader
                a_workers_life_is_told
                a_lapsed_worker_is_told_offline_once
            }
            totals {
                every_end_counts_in_its_place
                a_crash_counts_for_each_message
                the_last_crash_counts_as_dead
                a_close_counts_no_crash
                a_lost_verdict_counts_nothing
                what_others_push_is_not_counted_as_sent
                totals_belong_to_their_queue
                totals_are_exact_whatever_happens
            }
            watch {
                what_is_final_already_is_answered
                a_verdict_wakes_a_watch
                each_is_answered_once
                a_task_wanted_twice_is_answered_once
                a_watch_ends_when_its_time_is_over
                a_retry_is_not_answered
                a_task_that_crashed_for_good_is_answered
                a_watch_finds_the_queue_by_itself
                every_watch_is_answered
                a_dropped_next_loses_nothing
                a_watch_is_bounded
            }
            expires {
                before_its_time_a_record_reads_as_written
                past_its_time_a_record_reads_revoked
                a_final_record_does_not_expire
                an_expired_record_is_answered_to_a_watch
                the_expired_message_is_still_owed
            }
            pause {
                a_paused_queue_gives_nothing
                a_pause_stops_its_own_queue_only
                what_is_claimed_outlives_a_pause
                a_paused_queue_promotes_nothing
                a_pause_holds_suspects_too
                resume_wakes_a_waiting_claim
                an_unknown_queue_is_not_paused
                the_depth_tells_of_a_pause
                a_pause_lasts
            }
            replay {
                what_is_replayed_comes_again
                a_replayed_message_begins_anew
                a_replay_keeps_the_priority
                a_replay_forgets_the_crashes
                the_record_of_what_is_replayed_begins_anew
                a_replay_of_the_untracked_writes_no_record
                a_replay_overwrites_no_success
                what_is_replayed_twice_comes_once
                equal_dead_messages_are_told_apart
                what_can_not_be_read_is_not_replayed
                a_replay_is_bounded
                a_replay_ends_a_revocation
                a_replay_is_told_and_counts_as_sent
                a_replay_wakes_a_waiting_claim
                what_is_dropped_is_gone_and_its_record_stays
            }
            find {
                what_waits_is_found_with_those_before_it
                those_of_higher_priorities_are_ahead
                what_is_delayed_is_found_with_its_time
                what_is_held_or_held_back_is_found
                what_is_dead_is_found_with_its_reason
                the_untracked_and_the_foreign_are_found
                a_mention_is_not_found
                what_is_not_there_is_not_found
                what_is_due_next_is_listed
            }
            revoke {
                what_waits_is_revoked_by_its_id
                what_is_delayed_is_revoked_by_its_id
                what_is_to_be_retried_is_revoked_by_its_id
                a_revocation_belongs_to_its_queue
                the_next_claim_sees_a_revocation
                a_task_is_revoked_for_what_was_sent_before
                a_header_is_revoked_for_what_was_sent_before
                a_revocation_outlives_who_made_it
                a_revocation_is_over_after_a_week
                a_revocation_waits_for_what_is_due_later
                a_full_set_refuses_and_keeps_what_it_has
                a_revocation_has_bounds
                what_is_marked_reads_revoked_at_once
                what_is_marked_reads_revoked_until_its_time
                only_what_is_not_final_is_marked
                what_is_not_revoked_is_not_marked
                a_mark_wakes_a_watch
                what_was_marked_is_known_as_told
                a_revoked_task_is_told_once
            }
            purge {
                what_waits_is_purged
                what_is_delayed_is_purged
                what_is_held_back_is_purged
                what_is_claimed_outlives_a_purge
                what_can_not_be_read_is_purged
                a_purge_ends_no_more_than_asked
                a_purge_is_bounded_by_bytes
                a_purge_belongs_to_its_queue
                a_paused_queue_can_be_purged
                a_purge_overwrites_no_final_record
                a_purge_wakes_a_watch
            }
            retention {
                past_its_time_nothing_is_left
                the_dead_are_kept_for_a_week
                a_sweep_keeps_what_is_not_past_its_time
            }
            server {
                a_broker_has_a_name_and_a_version
            }
        }
    };
}

/// The table: each case by its name.
pub const CASES: &[(&str, Case)] = __conformance_cases! { [table] () };
