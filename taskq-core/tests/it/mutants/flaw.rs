//! What can be wrong with a broker: one thing each, by the calls at which it shows.

macro_rules! flaws {
    ($([$($call:ident)*] { $(#[doc = $what:literal] $flaw:ident,)* })*) => {
        /// One thing that is wrong with a broker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Flaw {
            /// Nothing is wrong: the control.
            None,
            $($(#[doc = $what] $flaw,)*)*
        }

        impl Flaw {
            /// Every flaw with its sentence, without the control.
            pub(super) const ALL: &[(Self, &str)] = &[$($((Self::$flaw, $what.trim_ascii()),)*)*];

            /// A case that makes none of these calls can not see it.
            pub(super) fn shows_at(self) -> &'static [&'static str] {
                match self {
                    Self::None => &[],
                    $($(Self::$flaw)|* => &[$(stringify!($call)),*],)*
                }
            }
        }
    };
}

flaws! {
    // enqueue
    [enqueue push_raw] {
        /// The last message of a batch is lost.
        LosesTheLastOfABatch,
        /// One message of a hundred is lost.
        LosesOneOfAHundred,
        /// A batch goes in newest first.
        ReversesABatch,
        /// Of a batch over the limit the first 999 are accepted, and then it is refused.
        AcceptsInPart,
        /// The bytes of a batch are not counted.
        IgnoresTheBytesOfABatch,
        /// No record is written when a message is accepted.
        WritesNoFirstRecord,
        /// Messages that are not tracked get a record too.
        RecordsTheUntracked,
        /// Sent again, a message gets its first record again.
        ForgetsWhenSentAgain,
        /// A countdown is ignored.
        IgnoresCountdowns,
        /// An eta is compared with the sender's clock.
        GoesByTheWallClock,
        /// An eta in the past is refused.
        RefusesThePast,
        /// 0 is served first and 9 last.
        ReversesPriorities,
        /// All messages lie in one list.
        IgnoresPriorities,
        /// A queue's name is cut at its first dot where its keys are spelled.
        CutsNamesAtTheDot,
        /// A foreign message lies at priority 0, wherever it was pushed.
        PutsForeignMessagesLast,
    }

    // idempotency keys
    [key] {
        /// Idempotency keys are ignored.
        IgnoresKeys,
        /// Of a duplicate the record is written.
        RecordsDuplicates,
        /// The place of a duplicate is told as if those before it had not been there.
        MiscountsDuplicates,
        /// A key is held for ever.
        HoldsKeysForEver,
        /// Each duplicate holds its key anew.
        DuplicatesRenewTheKey,
        /// A key is free once its task is over.
        FreesTheKeyWithItsTask,
        /// A key is one for all queues.
        SharesKeysBetweenQueues,
        /// A key of any length is taken: cut where it is too long.
        TakesAnyKey,
    }

    // claim
    [claim] {
        /// A claim answers one more than it was asked for.
        ClaimsOneMore,
        /// A claim that may wait comes back only when there is something.
        WaitsForEver,
        /// A claim looks once and waits for nothing.
        DoesNotWait,
        /// A claim that waits is not woken by what becomes due.
        SleepsThroughWhatBecomesDue,
        /// A claim that waits is not woken by what comes back.
        SleepsThroughReturns,
        /// A claim asks one queue, each in its turn.
        AsksOneQueuePerClaim,
        /// A claim asks the queues always in the same order.
        AsksInAFixedOrder,
        /// A consumer listens at the first of its queues alone.
        ListensAtTheFirstQueueAlone,
        /// A claim is not bounded by bytes.
        IgnoresTheBytesOfAClaim,
        /// A claim that is dropped half way has taken its messages along.
        LosesADroppedClaim,
        /// A delivery is answered to the next consumer that claims as well.
        HandsOneToTwo,
        /// A claim answers newest first.
        ReversesAClaim,
        /// What can not be decoded is never delivered.
        HidesTheUndecodable,
        /// A delivery carries its message decoded and encoded again.
        RewritesMessages,
    }

    // shares
    [claim] {
        /// Every queue has the same weight.
        IgnoresWeights,
        /// A claim of one message goes round the queues.
        IgnoresWeightsOfSmallClaims,
        /// What a queue with nothing does not use stays unused.
        KeepsTheSharesOfTheEmpty,
        /// A queue that had nothing gets all that it did not get.
        MakesUpForTheEmpty,
        /// Strict order is none.
        IgnoresTheOrder,
        /// Strict order is that of the names.
        OrdersByName,
        /// In strict order a claim takes from one queue alone.
        LeavesTheLaterNothing,
    }

    // attach
    [attach detach] {
        /// A queue that comes in addition is not taken from.
        AttachesNothing,
        /// Attached twice, a queue is taken from twice.
        AttachesTwice,
        /// Attached again, a queue keeps its weight.
        KeepsTheFirstWeight,
        /// A queue that was left can not be taken from again.
        AttachesNoneAgain,
        /// A queue that was left is taken from as before.
        DetachesNothing,
        /// With a queue, what is held of it is left as well.
        DetachesWhatIsHeld,
        /// No beat goes to the session of a queue that was left.
        BeatsForNoneDetached,
        /// The session at a queue that was left stays open.
        ClosesNoneDetached,
        /// Every detach says that it took from the queue.
        SaysItDetached,
        /// A stop forgets what is held of a queue that was left.
        StopsWithoutTheDetached,
        /// With the last queue the lease is gone.
        LosesTheLeaseOfTheLast,
        /// Who has begun to stop still takes from more queues.
        AttachesTheRetired,
    }

    // finish
    [finish] {
        /// What is done is put back to its queue.
        PutsBackWhatIsDone,
        /// What is done stays in flight.
        KeepsHoldOfWhatIsDone,
        /// Results are not written to the record.
        ForgetsResults,
        /// A verdict that is not final leaves no progress in the record.
        ForgetsTheLastProgress,
        /// The wait before a retry is ignored.
        RetriesAtOnce,
        /// A retry runs in its old form.
        RetriesTheOldForm,
        /// The wait of a snooze is ignored.
        SnoozesNothing,
        /// What is returned goes behind what waits.
        ReturnsToTheBack,
        /// What is returned goes back in the order of the verdicts.
        ReturnsInTheOrderOfTheVerdicts,
        /// What is returned loses its priority.
        ReturnsWithoutPriority,
        /// A verdict without a record writes one.
        RecordsUntrackedVerdicts,
        /// Verdicts of deliveries that were lost count.
        CountsTheLost,
        /// The second verdict on a delivery is written to its record.
        RecordsTheLost,
        /// A consumer can finish what another holds.
        FinishesForOthers,
        /// A final record is overwritten by the next verdict.
        OverwritesFinals,
        /// Of a batch of verdicts the first five are applied.
        FinishesInPart,
    }

    // lease
    [sweep lease] {
        /// A beat renews nothing.
        BeatsInVain,
        /// What runs for more than three leases is given back, beat or no beat.
        EndsWhatRunsForLong,
        /// Sessions live for half their lease.
        HalvesTheLease,
        /// Nothing is ever given back.
        SweepsNothing,
        /// What is given back is not counted.
        CountsNoSweep,
        /// What a crash gives back goes behind what waits.
        GivesBackToTheBack,
        /// At most 999 deliveries of a session are given back; the others are gone.
        GivesBackOneCallsWorth,
        /// Nobody tells a consumer that its session was lost.
        KeepsALossSecret,
        /// A consumer whose session was lost claims no more.
        NeverBeginsAnew,
        /// Whoever sweeps may judge the others, even past its own lease.
        SweepsUnchecked,
        /// One beat after an outage is enough to judge the others.
        RobsAfterAnOutage,
        /// A beat past the lease ends the session, though nobody swept it.
        GivesUpLateBeats,
        /// A consumer goes by the lease that it asked for.
        GoesByItsOwnLease,
    }

    // started
    [started] {
        /// No STARTED record is written.
        WritesNoStart,
        /// A start without a record writes one.
        RecordsEveryStart,
        /// The verdict tells the start again.
        TellsTheStartAgain,
        /// The start of a lost delivery is recorded.
        RecordsLostStarts,
        /// A consumer can start what another holds.
        StartsForOthers,
        /// A start overwrites a final record.
        StartsOverwriteFinals,
        /// A message is over when its run begins.
        EndsAtTheStart,
        /// Progress is not written to the record.
        ForgetsProgress,
        /// Of a run's progress the first value stays.
        KeepsTheFirstProgress,
        /// Progress is told as an event.
        TellsOfProgress,
        /// The progress of a lost session is recorded.
        RecordsLostProgress,
        /// Progress behind the verdict on its run is recorded.
        RecordsLateProgress,
    }

    // crash
    [sweep] {
        /// Crashes are not counted.
        ForgetsCrashes,
        /// A retry forgets the crashes before it.
        RetryForgetsCrashes,
        /// What comes back from a crash comes at priority 0.
        CrashLosesPriority,
        /// A suspect is delivered as any other.
        NamesNoSuspect,
        /// A process runs several suspects side by side.
        RunsSuspectsSideBySide,
        /// Of many suspects a process runs several side by side.
        RunsManySuspectsSideBySide,
        /// Each queue allows its consumer a suspect of its own.
        AllowsASuspectPerQueue,
        /// The place of a suspect is never free again.
        KeepsTheSuspectsPlace,
        /// The place of a suspect is not free again after a loss.
        KeepsTheLostSuspectsPlace,
        /// A suspect that is returned waits among the others, its crashes forgotten.
        ReturnsSuspectsToTheQueue,
        /// `max_crashes` is ignored.
        IgnoresMaxCrashes,
        /// What can not be decoded is not kept when it dies.
        KeepsNoUndecodableDead,
        /// A message that dies by crashes gets a record, wanted or not.
        RecordsEveryCrasher,
        /// A message that dies by crashes overwrites a final record.
        CrashOverwritesFinals,
        /// A message that dies by crashes leaves its record as it was.
        RecordsNoCrasher,
        /// `on_crash = "dead"` is ignored.
        IgnoresOnCrash,
        /// `on_crash = "dead"` is ignored where a process stopped on purpose.
        IgnoresOnCrashAtClose,
    }

    // close
    [retire close] {
        /// A close gives up nothing; the lease has to run out.
        ClosesNothing,
        /// What is held at the close is gone.
        LosesWhatIsHeldAtClose,
        /// Verdicts count after the close.
        CountsVerdictsAfterClose,
        /// A retired consumer goes on as before.
        RetiresInVain,
        /// A retired consumer is charged a crash when it dies.
        ChargesTheRetired,
        /// Retiring gives up what is held.
        RetiresAtOnce,
    }

    // pause
    [pause resume] {
        /// A pause is no pause.
        PausesNothing,
        /// A pause stops every queue.
        PausesEveryQueue,
        /// A pause gives up what is held.
        PauseGivesUpWhatIsHeld,
        /// What becomes due during a pause is counted as waiting.
        PromotesWhilePaused,
        /// A pause does not hold suspects.
        ForgetsSuspectsInAPause,
        /// A claim that waits is not woken by the end of a pause.
        SleepsThroughAResume,
        /// Resuming says that there was a pause.
        SaysItWasPaused,
        /// Nobody is told of a pause.
        TellsNoPause,
        /// Who paused the queue is forgotten.
        ForgetsWhoPaused,
        /// A new consumer ends the pause.
        BeginsWithAResume,
    }

    // the dead: replayed and dropped
    [replay discard] {
        /// A replay moves nothing.
        ReplaysNothing,
        /// A message is replayed in the form in which it died.
        ReplaysAsItDied,
        /// What is replayed comes at priority 0.
        ReplaysAtPriorityZero,
        /// What is replayed keeps its crashes.
        ReplayKeepsCrashes,
        /// A replay leaves the record as it was.
        ReplayLeavesTheRecord,
        /// What is not tracked gets a record when it is replayed.
        RecordsEveryReplay,
        /// A replay overwrites the success of another message under the same id.
        ReplayOverwritesSuccess,
        /// What was replayed before is replayed again.
        ReplaysTwice,
        /// With a dead message all that say the same are replayed.
        ReplaysEqualsTogether,
        /// Of several messages those that can be read are replayed.
        ReplaysTheReadable,
        /// Any number is replayed and dropped by one call.
        TakesAnyNumberOfDead,
        /// What was revoked stays so when it is replayed.
        ReplayLeavesTheRevocation,
        /// A replay is not told.
        TellsNoReplay,
        /// A replay is not counted.
        CountsNoReplay,
        /// A claim that waits is not woken by a replay.
        SleepsThroughAReplay,
        /// What is dropped stays.
        DropsNothing,
        /// What is dropped runs again.
        ReplaysWhatIsDropped,
    }

    // search
    [find delayed] {
        /// What has no record is not found.
        FindsTheTrackedAlone,
        /// What a consumer holds, or what is held back, is not found.
        FindsNothingHeld,
        /// What is delayed is not found.
        FindsNothingDelayed,
        /// An id that another program spelled in its way is not found.
        FindsOneSpelling,
        /// Nobody is ahead of what waits.
        TellsNobodyAhead,
        /// All that waits is ahead.
        TellsAllAhead,
        /// A search forgets why a message is dead.
        ForgetsTheReasonInASearch,
        /// A message that speaks of an id is taken for that of this id.
        TakesAMentionForIt,
        /// A search looks into every queue.
        FindsInEveryQueue,
        /// No search is complete.
        NeverLooksAtAll,
        /// What is delayed is listed backwards.
        ListsDelayedBackwards,
        /// All that is delayed is listed, however little was asked for.
        ListsAllTheDelayed,
    }

    // revoke
    [revoke mark_revoked] {
        /// A revocation is no revocation.
        RevokesNothing,
        /// What nobody revoked is marked.
        MarksWhatIsNotRevoked,
        /// A revocation counts at every queue.
        RevokesEveryQueue,
        /// What is delayed or failed is not revoked.
        RevokesWhatIsReadyAlone,
        /// A retry is not covered by what was revoked while it ran.
        ForgetsWhatRanMeanwhile,
        /// A task is revoked for what is sent later, too.
        RevokesWhatIsSentLater,
        /// Of a header the name alone counts.
        RevokesByTheHeadersName,
        /// A consumer reads what is revoked once.
        ReadsRevocationsOnce,
        /// With the connection that made them revocations are gone.
        ForgetsRevocationsOfOthers,
        /// Nothing revoked is listed.
        ListsNoRevocations,
        /// A revocation is kept for ever.
        KeepsRevocationsForEver,
        /// Every revocation is kept for a week, whatever is due later.
        KeepsEveryRevocationForAWeek,
        /// A full set drops what it has.
        ForgetsRevocationsWhenFull,
        /// A full set takes one more.
        TakesAnyNumberOfRevocations,
        /// A call of any size is taken.
        RevokesAnyNumberAtOnce,
        /// A mark writes no record.
        MarksNothing,
        /// A mark tells no reason.
        MarksWithoutReason,
        /// A mark is forgotten after a day.
        ForgetsMarksAfterADay,
        /// A mark overwrites a final record.
        MarksFinals,
        /// A mark wakes nobody.
        MarksInSilence,
        /// Whoever claims what was marked does not know that it was told.
        ForgetsWhatWasTold,
        /// A verdict tells again what was marked meanwhile.
        TellsMarksAgain,
    }

    // purge
    [purge] {
        /// A purge does nothing.
        PurgesNothing,
        /// A purge leaves the delayed.
        PurgesNoDelayed,
        /// A purge leaves what is held back.
        PurgesNoSuspects,
        /// A purge takes what is held.
        PurgesWhatIsHeld,
        /// A purge leaves what other programs pushed.
        PurgesItsOwnAlone,
        /// A purge ends all, however few were asked for.
        PurgesAll,
        /// A purge is not bounded by bytes.
        PurgesAnyNumberOfBytes,
        /// A purge ends what lies in other queues.
        PurgesEveryQueue,
        /// A paused queue is not purged.
        PurgesNoPausedQueue,
        /// A purge overwrites final records.
        PurgeOverwritesFinals,
        /// A purge wakes nobody.
        PurgesInSilence,
        /// A purge writes no record.
        PurgesWithoutRecord,
    }

    // records
    [record dead] {
        /// Of an id that nobody sent the record says QUEUED.
        CallsTheUnknownQueued,
        /// Without a queue, the first queue alone is asked.
        AsksTheFirstQueueAlone,
        /// With a queue, the others are asked as well.
        AsksEveryQueue,
        /// Records are kept for ever.
        KeepsRecordsForEver,
        /// Results are kept for an hour.
        KeepsResultsForAnHour,
        /// Every record is kept for a day after it was written.
        KeepsEveryRecordForADay,
        /// The dead are kept for a day.
        KeepsTheDeadForADay,
        /// A record that expires reads REVOKED at once.
        ExpiresAtOnce,
        /// A record never expires.
        ExpiresNothing,
        /// A final record expires too.
        ExpiresFinals,
        /// What is expired is never delivered.
        DropsTheExpired,
    }

    // watch
    [watch] {
        /// A watch misses what was final before it began.
        WatchesWhatComesAlone,
        /// A watch answers successes alone.
        WatchesSuccessAlone,
        /// A watch misses what died by crashes.
        WatchesVerdictsAlone,
        /// A watch misses what expires.
        WatchesNoExpiry,
        /// A watch answers each record twice.
        AnswersTwice,
        /// A watch answers a task as often as it is wanted.
        AnswersEachWanted,
        /// A watch that is to end waits on.
        WatchesForEver,
        /// A watch answers what failed and runs again.
        AnswersRetries,
        /// Without a queue, a watch looks into the first alone.
        WatchesTheFirstQueueAlone,
        /// Of several watches of a task the last one is answered.
        AnswersTheLastWatch,
        /// A `next` that is dropped half way has taken an answer along.
        LosesADroppedNext,
        /// A watch of any size is taken.
        WatchesAnyNumber,
    }

    // events
    [events] {
        /// What is sent is not told.
        TellsNoSend,
        /// Verdicts that nobody tells of are told.
        TellsUntoldVerdicts,
        /// A verdict tells the end alone.
        TellsTheEndAlone,
        /// A success is not told.
        TellsNoSuccess,
        /// A failure is told without its reason.
        TellsFailuresWithoutReason,
        /// A retry is told as a failure.
        TellsRetriesAsFailures,
        /// A snooze is told as a retry like any other.
        TellsSnoozesAsRetries,
        /// A rejection is told without its reason.
        TellsRejectionsWithoutReason,
        /// A rejection does not tell that the message is back.
        TellsNoRequeue,
        /// A revocation is not told.
        TellsNoRevocation,
        /// A verdict that does not count is told.
        TellsLostVerdicts,
        /// A crash is not told.
        TellsNoCrash,
        /// Whatever comes back is told as crashed.
        TellsEveryReturnAsACrash,
        /// The first event of each later page is lost.
        LosesAnEventBetweenPages,
        /// Who asks for what is new gets what was.
        BeginsWithTheOldest,
        /// Who asks for what is new is not told where that begins.
        TellsNoPlaceOfTheNew,
        /// Who finds nothing stands where it stood, though all of it was dropped.
        StandsBeforeWhatIsDropped,
        /// What was dropped before it was read is not told.
        TellsNothingMissed,
        /// A queue that is new is not found by who reads already.
        FindsNoNewQueue,
        /// A page is cut, and what was cut off is skipped.
        CutsAPage,
        /// A reader does not wait.
        ReadsWithoutWaiting,
        /// A heartbeat is told as online.
        TellsHeartbeatsAsOnline,
        /// A worker that falls silent is not told offline.
        TellsNoLapse,
    }

    // totals
    [totals] {
        /// Messages that were revoked are counted as dead.
        CountsRevokedAsDead,
        /// A snooze is counted as a retry.
        CountsSnoozesAsRetries,
        /// A lost session is counted as one crash.
        CountsOneCrash,
        /// What dies by a crash is counted as returned.
        CountsTheLastCrashAsReturned,
        /// What comes back is counted as crashed.
        CountsReturnsAsCrashes,
        /// A verdict that does not count is counted.
        CountsLostVerdicts,
        /// What another program pushed is counted as sent.
        CountsTheForeignAsSent,
        /// All queues have one total.
        CountsAllQueuesTogether,
    }

    // fleet
    [register] {
        /// A card loses its queues on the way.
        LosesACardsQueues,
        /// Workers and tasks are listed backwards.
        ListsTheFleetBackwards,
        /// A registration never lapses.
        RegistersForEver,
        /// Registering again changes nothing.
        RegistersOnce,
        /// Publishing a task again changes nothing but when it was seen.
        KeepsTheFirstPublication,
        /// A withdrawn worker stays until its registration lapses.
        WithdrawsNobody,
        /// With a worker all of its node are withdrawn.
        WithdrawsTheNode,
        /// A task is known only while a live worker offers it.
        KnowsLiveTasksAlone,
        /// A task is live for as long as it is known.
        CallsEveryTaskLive,
    }

    // control
    [ask listen] {
        /// Answers do not arrive.
        LosesReplies,
        /// A question reaches one listener.
        AsksOneListener,
        /// A question loses its destination.
        LosesTheDestination,
        /// An answer goes to everybody who asked.
        RepliesToEverybody,
        /// To answer one who is gone is an error.
        FailsOnGoneAskers,
    }

    // reads
    [depth dead queues server] {
        /// Suspects are counted with what waits.
        CountsSuspectsAsWaiting,
        /// Nothing that waits has an age.
        TellsNoAge,
        /// What tells no age is new.
        CallsTheAgelessNew,
        /// What is delayed is not counted.
        ForgetsTheDelayed,
        /// What is in flight is not counted.
        ForgetsWhatIsInFlight,
        /// The dead set forgets why.
        ForgetsTheReason,
        /// The dead set calls every end DEAD.
        CallsEveryEndDead,
        /// The oldest dead are listed first.
        ListsTheOldestDead,
        /// All the dead are listed, however few were asked for.
        ListsAllTheDead,
        /// A queue is known only once somebody sent to it.
        KnowsSendersAlone,
        /// A queue is known only once somebody listens at it.
        KnowsListenersAlone,
        /// Queues are listed backwards.
        ListsQueuesBackwards,
        /// The broker has no name.
        HasNoName,
    }
}
