//! The ending of a Pod, drawn in characters.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use fermata_core::explain::Explanation;

use super::timeline::{Course, Timeline, Track, What, tick, time};
use crate::cli::{
    judge::{JudgedPod, Judgement, Verdict},
    screen::Screen,
    summary,
};

/// What stands left of a bar: `    before  `.
const MARGIN: usize = 12;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const MARK: Style = AnsiColor::Yellow.on_default().bold();

/// Draws all Pods, and what the signs mean.
pub(super) fn draw(judgement: &Judgement, screen: Screen) -> String {
    let mut out = String::new();
    let mut legend = Vec::new();
    for (index, pod) in judgement.pods.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let mut drawing = Drawing { out: &mut out, screen };
        drawing.pod(judgement, pod);
        if let Some(explanation) = pod.explanation.as_ref().filter(|explanation| is_drawn(explanation)) {
            legend.extend(Timeline::new(explanation).legend());
        }
    }
    if !legend.is_empty() {
        out.push('\n');
        legend.sort_unstable();
        legend.dedup();
        Drawing { out: &mut out, screen }.legend(&legend);
    }
    out
}

fn is_drawn(explanation: &Explanation) -> bool {
    !explanation.containers.is_empty()
}

struct Drawing<'o> {
    out: &'o mut String,
    screen: Screen,
}

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{ let _ = write!($out, $($text)*); }};
}

impl Drawing<'_> {
    fn pod(&mut self, judgement: &Judgement, pod: &JudgedPod) {
        let source = judgement.sources.get(pod.source).map_or("", |source| source.name.as_str());
        let object = format!("{} in {}", summary::object(pod), pod.namespace);
        let place = format!("{source}:{}", pod.place);
        let room = self.screen.width;
        if object.chars().count() + 2 + place.chars().count() <= room {
            put!(self.out, "{BOLD}{object}{BOLD:#}  {DIM}{place}{DIM:#}\n");
        } else {
            put!(self.out, "{BOLD}{}{BOLD:#}\n", cut(&object, room));
            self.paragraph(2, &place);
        }
        match &pod.verdict {
            Verdict::Skipped(skip) => self.paragraph(2, &format!("left alone ({skip}): {}", skip.meaning())),
            Verdict::Denied(why) => self.paragraph(2, &format!("denied: {why}")),
            Verdict::Undecided(why) => self.paragraph(2, &format!("cannot be judged: {why}")),
            Verdict::Patched | Verdict::Unchanged => {}
        }
        let Some(explanation) = &pod.explanation else { return };
        if is_drawn(explanation) {
            self.timeline(&Timeline::new(explanation));
            self.grace(explanation);
        }
        for warning in &explanation.warnings {
            let text = warning.strip_prefix("fermata: ").unwrap_or(warning);
            self.paragraph(2, &format!("warning: {text}"));
        }
    }

    fn timeline(&mut self, timeline: &Timeline<'_>) {
        self.axis(timeline.end);
        for track in &timeline.tracks {
            self.track(track, timeline.end);
        }
        self.out.push('\n');
    }

    /// The cells of a bar, without the one for the last mark.
    fn cells(&self) -> usize {
        self.screen.width - MARGIN - 2
    }

    /// The cell of a moment.
    fn cell(&self, moment: i64, end: i64) -> usize {
        let cells = i128::try_from(self.cells()).unwrap_or(i128::MAX);
        let (moment, end) = (i128::from(moment), i128::from(end));
        usize::try_from((moment * cells + end / 2) / end).unwrap_or(0)
    }

    fn axis(&mut self, end: i64) {
        let width = time(end).len().max(3) + 3;
        let tick = tick(end, self.cells() / width);
        let (line, mark) = if self.screen.unicode { ('─', '┼') } else { ('-', '+') };
        let mut labels = vec![' '; self.cells() + 2];
        let mut axis = vec![line; self.cells() + 1];
        let mut moment = 0;
        while moment <= end {
            let cell = self.cell(moment, end);
            axis[cell] = mark;
            let label = time(moment);
            let start = cell.min(labels.len().saturating_sub(label.len()));
            for (label, c) in labels.iter_mut().skip(start).zip(label.chars()) {
                *label = c;
            }
            let Some(next) = moment.checked_add(tick) else { break };
            moment = next;
        }
        let labels: String = labels.into_iter().collect();
        let axis: String = axis.into_iter().collect();
        put!(self.out, "{DIM}{:MARGIN$}{}{DIM:#}\n", "  deleted", labels.trim_end());
        put!(self.out, "{DIM}{:MARGIN$}{axis}{DIM:#}\n", "");
    }

    fn track(&mut self, track: &Track<'_>, end: i64) {
        let container = track.container;
        let kind = if container.kind == "container" { "" } else { container.kind };
        let name = cut(&container.name, self.screen.width - 6 - kind.len());
        put!(self.out, "  {BOLD}{name}{BOLD:#}");
        if !kind.is_empty() {
            put!(self.out, " {DIM}({kind}){DIM:#}");
        }
        self.out.push('\n');
        match &track.after {
            None => self.course("  unchanged", &track.before, end),
            Some(after) => {
                self.course("    before", &track.before, end);
                self.course("    after", after, end);
            }
        }
        self.paragraph(4, &container.because);
        if let Some(shim) = &container.shim {
            let colon = if shim.stop.is_empty() { "" } else { "; on its stop signal:" };
            self.paragraph(4, &format!("{}{colon}", shim.because));
            for step in &shim.stop {
                self.paragraph(6, step);
            }
        }
    }

    fn course(&mut self, label: &str, course: &Course, end: i64) {
        put!(self.out, "{label:MARGIN$}");
        let kill = self.cell(course.kill, end).max(course.stop.map_or(0, |stop| self.cell(stop, end) + 1));
        let stop = course.stop.map(|stop| self.cell(stop, end));
        let mut last = None;
        for cell in 0..=kill {
            let (style, sign) = if cell == kill {
                (BAD, sign_of_kill(self.screen))
            } else if Some(cell) == stop {
                (MARK, sign_of_stop(self.screen))
            } else {
                let span = course.spans.iter().rev().find(|span| self.cell(span.from, end) <= cell);
                span.map_or((Style::new(), ' '), |span| sign(span.what, self.screen))
            };
            if last != Some(style) {
                if let Some(last) = last {
                    put!(self.out, "{last:#}");
                }
                put!(self.out, "{style}");
                last = Some(style);
            }
            self.out.push(sign);
        }
        if let Some(last) = last {
            put!(self.out, "{last:#}");
        }
        self.out.push('\n');
    }

    fn grace(&mut self, explanation: &Explanation) {
        let grace = &explanation.grace_period;
        let text = match &grace.because {
            Some(because) => {
                format!("grace period {} -> {}: {because}", time(grace.before), time(grace.after))
            }
            None => format!("grace period {}, unchanged", time(grace.after)),
        };
        self.paragraph(2, &text);
    }

    fn legend(&mut self, legend: &[What]) {
        let mut entries: Vec<_> =
            legend.iter().map(|&what| (sign(what, self.screen), what.meaning())).collect();
        entries.push(((MARK, sign_of_stop(self.screen)), "stop signal"));
        entries.push(((BAD, sign_of_kill(self.screen)), "kill"));
        let mut used = 0;
        for ((style, sign), meaning) in entries {
            let width = 2 + meaning.len() + 3;
            if used > 0 && used + width > self.screen.width {
                self.trim();
                used = 0;
            }
            put!(self.out, "{style}{sign}{style:#} {meaning}   ");
            used += width;
        }
        self.trim();
    }

    /// Text, wrapped at words and indented; words without end are broken.
    fn paragraph(&mut self, indent: usize, text: &str) {
        let hanging = indent + 2;
        let longest = self.screen.width - hanging;
        let mut used = 0;
        for word in text.split_whitespace() {
            let characters: Vec<char> = word.chars().collect();
            for (index, part) in characters.chunks(longest).enumerate() {
                if used == 0 {
                    put!(self.out, "{:indent$}", "");
                    used = indent;
                } else if index > 0 || used + 1 + part.len() > self.screen.width {
                    put!(self.out, "\n{:hanging$}", "");
                    used = hanging;
                } else {
                    self.out.push(' ');
                    used += 1;
                }
                self.out.extend(part);
                used += part.len();
            }
        }
        self.out.push('\n');
    }

    /// Ends a line without blanks before its end.
    fn trim(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.out.push('\n');
    }
}

fn sign(what: What, screen: Screen) -> (Style, char) {
    let (style, unicode, ascii) = match what {
        What::Serving => (GOOD, '█', '='),
        What::MayServe => (GOOD, '▀', '-'),
        What::Failing => (BAD, '!', '!'),
        What::Ending => (Style::new(), '░', '.'),
        What::OwnHook => (Style::new(), '▒', '?'),
        What::Waiting => (Style::new(), '▄', ':'),
    };
    (style, if screen.unicode { unicode } else { ascii })
}

const fn sign_of_stop(screen: Screen) -> char {
    if screen.unicode { '▼' } else { 'T' }
}

const fn sign_of_kill(screen: Screen) -> char {
    if screen.unicode { '✕' } else { 'K' }
}

/// At most so many characters.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(3)).chain("...".chars()).collect()
}
