//! Retry policies keep their bounds for all inputs.

use std::time::Duration;

use proptest::prelude::*;
use taskq_core::Failure;
use taskq_core::retry::{Attempt, Exponential, Fixed, Jitter, Never, RetryPolicy};

fn delay(policy: &dyn RetryPolicy, number: u32) -> Option<Duration> {
    let error = Failure::new("Error", "x");
    policy.delay(&Attempt {
        number,
        error: &error,
    })
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        Just(Duration::from_nanos(1)),
        (0..100_000_u64).prop_map(Duration::from_millis),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n)),
    ]
}

fn factors() -> impl Strategy<Value = f64> {
    prop_oneof![
        1.0..10.0_f64,
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-3.0),
        Just(0.5),
    ]
}

fn attempts() -> impl Strategy<Value = u32> {
    prop_oneof![0..50_u32, any::<u32>(), Just(u32::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_wait_is_above_max_and_jitter_stays_in_its_range(
        base in durations(), factor in factors(), max in durations(), number in attempts(),
    ) {
        for jitter in [Jitter::None, Jitter::Equal, Jitter::Full] {
            let policy = Exponential { base, factor, max, jitter };
            let ceiling = policy.ceiling(number);
            let wait = delay(&policy, number).unwrap();
            prop_assert!(ceiling <= max, "{ceiling:?} above {max:?}");
            match jitter {
                Jitter::None => prop_assert_eq!(wait, ceiling),
                Jitter::Equal => prop_assert!(ceiling / 2 <= wait && wait <= ceiling, "{wait:?} of {ceiling:?}"),
                Jitter::Full => prop_assert!(wait <= ceiling, "{wait:?} of {ceiling:?}"),
            }
        }
    }

    #[test]
    fn the_ceiling_never_falls(
        base in durations(), factor in factors(), max in durations(), number in attempts(),
    ) {
        let policy = Exponential { base, factor, max, jitter: Jitter::Full };
        let (now, next) = (policy.ceiling(number), policy.ceiling(number.saturating_add(1)));
        prop_assert!(now <= next, "attempt {number}: {now:?}, then {next:?}");
    }

    #[test]
    fn a_factor_that_does_not_grow_counts_as_one(factor in -10.0..1.0_f64, number in attempts()) {
        let policy = Exponential { factor, ..Exponential::DEFAULT };
        prop_assert_eq!(policy.ceiling(number), policy.base);
    }
}

#[test]
fn no_number_and_infinity_are_factors_too() {
    let with = |factor, base| Exponential {
        factor,
        base,
        ..Exponential::DEFAULT
    };
    let second = Duration::from_secs(1);
    assert_eq!(with(f64::NAN, second).ceiling(9), second);
    assert_eq!(with(f64::INFINITY, second).ceiling(1), second);
    assert_eq!(
        with(f64::INFINITY, second).ceiling(2),
        Exponential::DEFAULT.max
    );
    assert_eq!(
        with(f64::INFINITY, Duration::ZERO).ceiling(2),
        Duration::ZERO
    );
    assert_eq!(with(2.0, Duration::ZERO).ceiling(u32::MAX), Duration::ZERO);
}

#[test]
fn the_default_doubles_from_a_second_to_ten_minutes() {
    let waits = [0, 1, 2, 3, 10, 11, u32::MAX].map(|n| Exponential::DEFAULT.ceiling(n).as_secs());
    assert_eq!(waits, [1, 1, 2, 4, 512, 600, 600]);
}

#[test]
fn jitter_spreads_over_its_whole_range() {
    let waits = |jitter| {
        let policy = Exponential {
            jitter,
            ..Exponential::DEFAULT
        };
        let mut waits: Vec<f64> = (0..1_000)
            .map(|_| delay(&policy, 1).unwrap().as_secs_f64())
            .collect();
        waits.sort_by(f64::total_cmp);
        (waits[0], waits[999])
    };
    // Of 1,000 draws none in an outer tenth: once in 10^45 runs.
    let (least, most) = waits(Jitter::Full);
    assert!(least < 0.1 && most > 0.9, "{least} to {most}");
    let (least, most) = waits(Jitter::Equal);
    assert!(
        (0.5..0.55).contains(&least) && most > 0.95,
        "{least} to {most}"
    );
}

#[test]
fn fixed_waits_the_same_and_never_gives_up_at_once() {
    let wait = Duration::from_millis(250);
    assert_eq!(
        [1, 7, u32::MAX].map(|n| delay(&Fixed(wait), n)),
        [Some(wait); 3]
    );
    assert_eq!([1, 7, u32::MAX].map(|n| delay(&Never, n)), [None; 3]);
}

#[test]
fn a_custom_policy_sees_the_attempt_and_its_error() {
    struct Picky;
    impl RetryPolicy for Picky {
        fn delay(&self, attempt: &Attempt<'_>) -> Option<Duration> {
            (attempt.error.kind == "Busy").then(|| Duration::from_secs(attempt.number.into()))
        }
    }
    let asked = |kind: &str| {
        let error = Failure::new(kind, "x");
        Picky.delay(&Attempt {
            number: 4,
            error: &error,
        })
    };
    assert_eq!(asked("Busy"), Some(Duration::from_secs(4)));
    assert_eq!(asked("Closed"), None);
}
