//! What is measured, in few words: the median of several rounds with the least and the most, and the tails of many samples.

use std::{io::Write as _, time::Duration};

/// Values of one kind; sorted when they are asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this share of them lies; zero if there is none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "a rank among few values"
        )]
        let rank = (share * last as f64).round() as usize;
        sorted.get(rank).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Median, least and most of a few rounds.
    pub(crate) fn rounds(&self, unit: &str) -> String {
        format!("{} {unit} ({} to {})", short(self.median()), short(self.quantile(0.0)), short(self.quantile(1.0)))
    }

    /// The tails of many samples.
    pub(crate) fn tails(&self, unit: &str) -> String {
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| short(self.quantile(share)));
        format!("p50 {p50} {unit}, p99 {p99} {unit}, most {most} {unit} (of {})", self.len())
    }
}

/// Ratios held against their limits.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    missed: u32,
}

impl Verdict {
    /// Says a ratio, and whether it is large enough.
    pub(crate) fn at_least(&mut self, what: &str, value: f64, limit: f64) {
        self.hold(what, value, value >= limit, &format!("at least {}", short(limit)));
    }

    /// The same of one that must not be larger.
    pub(crate) fn at_most(&mut self, what: &str, value: f64, limit: f64) {
        self.hold(what, value, value <= limit, &format!("at most {}", short(limit)));
    }

    fn hold(&mut self, what: &str, value: f64, is_kept: bool, limit: &str) {
        self.missed += u32::from(!is_kept);
        let word = if is_kept { "kept" } else { "MISSED" };
        say(&format!("  {what}: {} ({limit}: {word})", short(value)));
    }

    /// An error if any was missed.
    pub(crate) fn end(self) -> Result<(), crate::Failure> {
        if self.missed == 0 { Ok(()) } else { Err(format!("{} limits were missed", self.missed).into()) }
    }
}

impl Extend<f64> for Samples {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        self.0.extend(values);
    }
}

/// Three or more digits that count.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count as a number to calculate with.
pub(crate) fn number(count: impl TryInto<u32>) -> f64 {
    count.try_into().map_or(f64::INFINITY, f64::from)
}

/// Milliseconds with their fraction.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Writes a line of the report.
pub(crate) fn say(line: &str) {
    // A reader who has gone away misses the rest; there is nobody left to tell.
    drop(writeln!(std::io::stdout(), "{line}"));
}
