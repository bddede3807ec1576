//! `#[task(…)]`: the options between the parentheses.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitBool, LitStr, Path, Result, Token};

const KNOWN: &str = "the options are name, queue, max_retries, retry, retry_if, ignore_result, track_started, expires, \
     max_crashes, on_crash, time_limit, soft_time_limit, priority and crate";
const A_TIME: &str = "a time such as \"30s\" or `Duration::from_secs(30)`";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) max_retries: Option<Expr>,
    pub(crate) retry: Option<Expr>,
    pub(crate) retry_if: Option<Expr>,
    pub(crate) ignore_result: bool,
    pub(crate) track_started: bool,
    pub(crate) expires: Option<Time>,
    pub(crate) max_crashes: Option<Expr>,
    pub(crate) dead_on_crash: bool,
    pub(crate) time_limit: Option<Time>,
    pub(crate) soft_time_limit: Option<Time>,
    pub(crate) priority: Option<Expr>,
    pub(crate) krate: Option<Path>,
}

/// Reads all options and reports every mistake in them, not only the first.
pub(crate) fn parse(tokens: TokenStream) -> Result<Options> {
    let written = Punctuated::<Written, Token![,]>::parse_terminated.parse2(tokens)?;
    let mut options = Options::default();
    let mut mistakes: Option<Error> = None;
    let mut seen: Vec<String> = Vec::new();
    for option in written {
        let name = option.name.to_string();
        let checked = if seen.contains(&name) {
            let text = format!("the option `{name}` is given twice");
            Err(Error::new(option.name.span(), text))
        } else {
            options.set(option)
        };
        seen.push(name);
        match (checked, &mut mistakes) {
            (Ok(()), _) => {}
            (Err(e), Some(all)) => all.combine(e),
            (Err(e), none) => *none = Some(e),
        }
    }
    mistakes.map_or(Ok(options), Err)
}

/// One option as it stands there: a name, and a value unless it is a flag.
struct Written {
    name: Ident,
    value: Option<TokenStream>,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = Ident::parse_any(input)?;
        let mut value = None;
        if input.parse::<Option<Token![=]>>()?.is_some() {
            // `crate = ::path` is a path; everything else, and most paths, are expressions.
            let expr: Expr = input.parse()?;
            value = Some(quote::ToTokens::into_token_stream(expr));
        }
        Ok(Self { name, value })
    }
}

impl Written {
    fn value<T: Parse>(self, what: &str) -> Result<T> {
        let wanted = format!("`{}` must be {what}", self.name);
        let Some(value) = self.value else {
            return Err(Error::new(self.name.span(), wanted));
        };
        let span = value.span();
        syn::parse2(value).map_err(|_| Error::new(span, wanted))
    }

    /// Celery's `expires=60` means seconds; a bare number here would not say.
    fn time(self) -> Result<Time> {
        let name = self.name.to_string();
        let expr: Expr = self.value(A_TIME)?;
        let span = expr.span();
        let ms = match expr {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => milliseconds(&text.value()),
            Expr::Lit(_) => None,
            other => return Ok(Time::Of(other)),
        };
        match ms {
            Some(0) => Err(Error::new(span, format!("`{name}` is at least 1 ms"))),
            Some(ms) => Ok(Time::Ms(ms)),
            None => Err(Error::new(span, format!("`{name}` must be {A_TIME}"))),
        }
    }

    /// Alone it says yes.
    fn flag(self) -> Result<bool> {
        if self.value.is_none() {
            return Ok(true);
        }
        Ok(self.value::<LitBool>("`true` or `false`")?.value)
    }
}

impl Options {
    fn set(&mut self, option: Written) -> Result<()> {
        let name = option.name.span();
        match option.name.to_string().as_str() {
            "name" => self.name = Some(task_name(option.value("a string such as \"shop.pay\"")?)?),
            "queue" => self.queue = Some(queue_name(option.value("a string such as \"mail\"")?)?),
            "max_retries" => self.max_retries = Some(option.value("a number such as 5")?),
            "retry" => self.retry = Some(option.value("a retry policy such as `Never`")?),
            "retry_if" => self.retry_if = Some(option.value("the path of a `fn(&E) -> bool`")?),
            "ignore_result" => {
                self.ignore_result = option.flag()?;
                self.one_of_record_options(name)?;
            }
            "track_started" => {
                self.track_started = option.flag()?;
                self.one_of_record_options(name)?;
            }
            "expires" => self.expires = Some(option.time()?),
            "time_limit" => {
                self.time_limit = Some(option.time()?);
                self.soft_under_hard(name)?;
            }
            "soft_time_limit" => {
                self.soft_time_limit = Some(option.time()?);
                self.soft_under_hard(name)?;
            }
            "priority" => {
                let number = option.value("a number from 0 to 9")?;
                self.priority = Some(from_to("priority", 0, number)?);
            }
            "max_crashes" => {
                self.max_crashes = Some(from_to(
                    "max_crashes",
                    1,
                    option.value("a number such as 5")?,
                )?);
            }
            "on_crash" => {
                self.dead_on_crash = is_dead(&option.value("\"requeue\" or \"dead\"")?)?;
            }
            "crate" => self.krate = Some(option.value("the path of taskq-core or taskq-worker")?),
            other => return Err(unknown(other, option.name.span())),
        }
        Ok(())
    }

    /// What expressions come to, `Registry` sees at start.
    fn soft_under_hard(&self, place: Span) -> Result<()> {
        match (&self.soft_time_limit, &self.time_limit) {
            (Some(Time::Ms(soft)), Some(Time::Ms(hard))) if soft >= hard => Err(Error::new(
                place,
                "`soft_time_limit` must be under `time_limit`: it would never be told",
            )),
            _ => Ok(()),
        }
    }

    fn one_of_record_options(&self, place: Span) -> Result<()> {
        if self.ignore_result && self.track_started {
            let text = "`track_started` writes into the record, and `ignore_result` keeps none: choose one";
            return Err(Error::new(place, text));
        }
        Ok(())
    }
}

/// A time as it is written: in words, or as an expression that comes to a `Duration`.
pub(crate) enum Time {
    Ms(u64),
    Of(Expr),
}

/// `"500ms"`, `"30s"`, `"2m"`, `"1h"`, at least 1 ms; the unit is not left out.
fn milliseconds(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn task_name(name: LitStr) -> Result<LitStr> {
    match name.value().len() {
        1..=256 => Ok(name),
        _ => Err(Error::new(name.span(), "a task name has 1 to 256 bytes")),
    }
}

/// The rule of `QueueName::new`, told where the name is written.
fn queue_name(name: LitStr) -> Result<LitStr> {
    let text = name.value();
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(name);
    }
    Err(Error::new(
        name.span(),
        "a queue name has 1 to 128 of the characters A-Z a-z 0-9 . _ -",
    ))
}

/// A literal is judged here; what an expression comes to, `Registry` sees at start.
fn from_to(name: &str, least: u8, number: Expr) -> Result<Expr> {
    if let Expr::Lit(ExprLit {
        lit: Lit::Int(literal),
        ..
    }) = &number
        && !literal
            .base10_parse()
            .is_ok_and(|n: u8| (least..=9).contains(&n))
    {
        let text = format!("`{name}` goes from {least} to 9");
        return Err(Error::new(literal.span(), text));
    }
    Ok(number)
}

fn is_dead(word: &LitStr) -> Result<bool> {
    match word.value().as_str() {
        "requeue" => Ok(false),
        "dead" => Ok(true),
        _ => Err(Error::new(
            word.span(),
            "`on_crash` must be \"requeue\" or \"dead\"",
        )),
    }
}

fn unknown(name: &str, span: Span) -> Error {
    let instead = match name {
        "bind" => "take `Context` as the first parameter",
        "default_retry_delay"
        | "retry_backoff"
        | "retry_backoff_max"
        | "retry_jitter"
        | "retry_kwargs" => {
            "write `retry = …` with a policy of `taskq_core::retry`, such as `Exponential { .. }`"
        }
        "autoretry_for" | "dont_autoretry_for" | "throws" => {
            "every error is retried; `retry_if = PATH` names a function that says which are not"
        }
        "acks_late" | "task_acks_late" => {
            "it is always so: a message is acknowledged when its task has ended; `on_crash = \"dead\"` is for what must not run twice"
        }
        "reject_on_worker_lost" | "acks_on_failure_or_timeout" => {
            "a message whose worker died runs again up to its crash limit; one that failed is acknowledged"
        }
        "serializer" | "compression" => "messages are JSON",
        "rate_limit" | "aliases" => "it is not built yet",
        _ => "",
    };
    let text = match instead {
        "" => format!("unknown option `{name}`: {KNOWN}"),
        hint => format!("`#[task]` has no option `{name}`: {hint}; {KNOWN}"),
    };
    Error::new(span, text)
}
