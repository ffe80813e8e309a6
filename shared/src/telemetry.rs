//! What a process says about itself: events to standard error and metrics to whoever asks. No control character of anybody's
//! input reaches a terminal or splits a line of the log.

mod meters;

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

pub use self::meters::Meters;
use prometheus_client::registry::{Metric, Registry};
use tracing_subscriber::{
    Layer,
    filter::{ParseError, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("{variable} is not a log filter; expected a level such as \"info\" or \"lockstep_gateway=debug,info\"")]
    Filter {
        /// The variable that holds it.
        variable: &'static str,
        /// What the parser says.
        source: ParseError,
    },
    /// The process has a log already.
    #[error("the log is set up twice")]
    Twice(#[from] TryInitError),
}

/// Starts the log: text on a terminal, one object of JSON a line otherwise. `LOCKSTEP_LOG` filters it, else `RUST_LOG`, else
/// `info`. Panics are logged as well.
pub fn init(environment: impl Iterator<Item = (String, String)>) -> Result<(), TelemetryError> {
    let filter = filter(environment)?;
    let layer = if io::stderr().is_terminal() {
        // Without colours: an escape sequence that is ours could not be told from one that is not.
        tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(Escaped(io::stderr)).boxed()
    } else {
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(Escaped(io::stderr))
            .boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, "panicked: {message}");
    }));
    Ok(())
}

fn filter(environment: impl Iterator<Item = (String, String)>) -> Result<Targets, TelemetryError> {
    let mut ours = None;
    let mut usual = None;
    for (name, value) in environment.filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "LOCKSTEP_LOG" => ours = Some(value),
            "RUST_LOG" => usual = Some(value),
            _ => {}
        }
    }
    let (variable, text) = match (ours, usual) {
        (Some(text), _) => ("LOCKSTEP_LOG", text),
        (None, Some(text)) => ("RUST_LOG", text),
        (None, None) => ("LOCKSTEP_LOG", "info".to_owned()),
    };
    text.parse().map_err(|source| TelemetryError::Filter { variable, source })
}

/// Writes each event, which arrives whole, with its control characters escaped.
#[derive(Debug, Clone, Copy)]
struct Escaped<M>(M);

struct EscapedWriter<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Escaped<M> {
    type Writer = EscapedWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for EscapedWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.contains(is_unprintable) {
            self.0.write_all(escape(line).as_bytes())?;
            self.0.write_all(b"\n")?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters of both sets, line separators, and what turns the direction of text around.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `\u001b` for an escape character: readable, and still right within a text of JSON.
fn escape(line: &str) -> String {
    use fmt::Write as _;
    line.chars().fold(String::with_capacity(line.len() + 8), |mut escaped, character| {
        if is_unprintable(character) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
        escaped
    })
}

/// The metrics of this process. Clones are one and the same. Labels come from closed sets, never from a request.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// No metrics yet; the names of all will start with `lockstep_`.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("lockstep"))))
    }

    /// Adds a metric and gives it back; its clones count together. The name of a counter goes without `_total`.
    pub fn register<M: Metric + Clone>(&self, name: &'static str, help: &'static str, metric: M) -> M {
        let help = help.trim_end_matches('.');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric.clone());
        metric
    }

    /// All metrics in the text format of `OpenMetrics`.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_of(variables: &[(&str, &str)]) -> Result<String, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        filter(variables).map(|filter| filter.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn our_own_variable_comes_before_the_usual_one() {
        assert_eq!(filter_of(&[]).unwrap(), "info");
        assert_eq!(filter_of(&[("RUST_LOG", "warn")]).unwrap(), "warn");
        assert_eq!(filter_of(&[("RUST_LOG", "warn"), ("LOCKSTEP_LOG", "debug")]).unwrap(), "debug");
        assert_eq!(filter_of(&[("RUST_LOG", "warn"), ("LOCKSTEP_LOG", "")]).unwrap(), "warn");
        assert!(filter_of(&[("LOCKSTEP_LOG", "a=b=c")]).unwrap_err().contains("LOCKSTEP_LOG is not a log filter"));
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const INJECTION: &str = "a\r\n2026 INFO forged \u{1b}[2J \u{9b}31m \u{202e}txt";

    #[test]
    fn a_log_line_of_text_cannot_be_split_or_coloured_by_its_fields() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Escaped(move || writer.clone()));

        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(path = INJECTION, "refused {INJECTION}");
        });

        let text = kept.text();
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.ends_with('\n') && !text.trim_end().contains(is_unprintable), "{text:?}");
    }

    #[test]
    fn a_log_line_of_json_stays_json() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().json().with_writer(Escaped(move || writer.clone()));

        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(path = INJECTION, "refused");
        });

        let text = kept.text();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["fields"]["path"], INJECTION);
        assert!(text.ends_with('\n') && !text.trim_end().contains(is_unprintable), "{text:?}");
    }
}
