//! Assertions about what was sent.

/// Asserts that a call was sent, whatever became of it since; gives those that fit, as a list of
/// [`Sent`](crate::testing::Sent).
///
/// The call is a task with its arguments, as they are written in `task::call(…)`; a task alone, for any arguments; or a
/// name. Behind it, in any order, the methods of [`Expected`](crate::testing::Expected): `queue = "…"`, `within = …` and
/// `after = …` (due at the latest, at the earliest, so long after it was sent), `priority = …`, `times = …` (exactly so often), and
/// for a name `args = &…` and `kwargs = &…`. It fails with a list of what was sent, and what differs.
///
/// ```
/// use std::time::Duration;
/// use taskq_worker::testing::TestBroker;
/// use taskq_worker::{assert_enqueued, refute_enqueued, task};
///
/// #[task(name = "mail.remind", queue = "mail")]
/// async fn remind(to: String, what: Option<String>) {}
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let (broker, hour) = (TestBroker::new(), Duration::from_secs(3_600));
///     let call = remind::call("ana@example.org".to_owned(), None).countdown(hour);
///     broker.client().send(call).await.unwrap();
///
///     let sent = assert_enqueued!(broker, remind("ana@example.org".to_owned(), None), queue = "mail", within = hour);
///     assert_eq!(sent[0].due, broker.record(sent[0].id).await.unwrap().due);
///     assert_enqueued!(broker, remind, after = hour, times = 1);
///     assert_enqueued!(broker, "mail.remind", args = &["ana@example.org"]);
///     refute_enqueued!(broker, remind("ben@example.org".to_owned(), None));
///     refute_enqueued!(broker, remind, within = hour / 2);
/// }
/// ```
#[macro_export]
macro_rules! assert_enqueued {
    ($broker:expr, $($expected:tt)+) => {
        match $broker.find_enqueued(&$crate::__expected!($($expected)+)) {
            ::core::result::Result::Ok(sent) => sent,
            ::core::result::Result::Err(missing) => ::core::panic!("{missing}"),
        }
    };
}

/// Asserts that no such call was sent: the opposite of [`assert_enqueued!`](crate::assert_enqueued), and written as that.
#[macro_export]
macro_rules! refute_enqueued {
    ($broker:expr, $($expected:tt)+) => {
        if let ::core::result::Result::Err(there) =
            $broker.find_none_enqueued(&$crate::__expected!($($expected)+))
        {
            ::core::panic!("{there}")
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __expected {
    ($name:literal $(, $option:ident = $value:expr)* $(,)?) => {
        $crate::testing::Expected::task($name)$(.$option($value))*
    };
    ($($task:ident)::+ ( $($argument:expr),* $(,)? ) $(, $option:ident = $value:expr)* $(,)?) => {
        $crate::testing::Expected::call(&$($task)::+::call($($argument),*))$(.$option($value))*
    };
    ($($task:ident)::+ $(, $option:ident = $value:expr)* $(,)?) => {
        $crate::testing::Expected::task($($task)::+::DEF.name)$(.$option($value))*
    };
}
