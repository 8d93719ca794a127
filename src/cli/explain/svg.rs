//! The ending of a Pod as a picture: SVG, 16 by 9, fit for a slide.
//!
//! Everything is placed by arithmetic on estimated text widths, because nobody knows the fonts of the machine that
//! shows it. What might not fit is left out or cut short, so nothing overlaps.

use std::fmt::Write;

use fermata_core::explain::Explanation;

use super::timeline::{Course, Timeline, Track, What, tick, time};

/// The size of the picture. Units: pixels, here and below.
const WIDTH: f64 = 1280.0;
const HEIGHT: f64 = 720.0;

const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 64.0;
/// Where the bars begin, right of their labels.
const BARS: f64 = LEFT + 84.0;
const AXIS: f64 = 168.0;
const BOTTOM: f64 = 588.0;

/// The most containers that can be told apart.
const MOST: usize = 6;

/// The height of a lane from which on there is a line about the shim.
const ROOM_FOR_SHIM: f64 = 96.0;

const INK: &str = "#1d2733";
const FAINT: &str = "#5d6b7a";
const GRID: &str = "#dfe3e8";
const PAPER: &str = "#fdfcf9";
const STOP: &str = "#1d2733";
const KILL: &str = "#a3182b";

/// A picture that is being drawn.
struct Picture {
    svg: String,
    end: i64,
}

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, $($text)*); }};
}

/// Draws one Pod.
pub(super) fn draw(title: &str, explanation: &Explanation) -> String {
    let timeline = Timeline::new(explanation);
    let mut picture = Picture { svg: String::with_capacity(16 << 10), end: timeline.end };
    let legend = timeline.legend();
    picture.head(title, explanation);
    if legend.contains(&What::MayServe) {
        picture.pattern("early", "#4b9a7b", "#2b8a66");
    }
    let shown = timeline.tracks.len().min(MOST);
    let lane = ((BOTTOM - AXIS - 20.0) / f64::from(u8::try_from(shown.max(1)).unwrap_or(1))).min(230.0);
    picture.axis(AXIS + lane * f64::from(u8::try_from(shown).unwrap_or(1)) + 10.0);
    let mut top = AXIS + 20.0;
    for track in timeline.tracks.iter().take(shown) {
        picture.track(track, top, lane);
        top += lane;
    }
    if timeline.tracks.len() > shown {
        let more = timeline.tracks.len() - shown;
        let containers = if more == 1 { "container" } else { "containers" };
        picture.text((LEFT, BOTTOM + 12.0), 15.0, FAINT, "", &format!("and {more} {containers} more"));
    }
    picture.legend(&legend);
    picture.svg + "</svg>\n"
}

impl Picture {
    fn head(&mut self, title: &str, explanation: &Explanation) {
        put!(
            self.svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif" role="img">"#
        );
        put!(self.svg, "<title>How {} ends</title>", escaped(title));
        self.pattern("failing", "#d8453f", "#e2635c");
        put!(self.svg, r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>"#);
        let room = RIGHT - LEFT;
        let size = (36.0 * room / width(title, 36.0)).clamp(22.0, 36.0);
        let title = cut(title, size, room);
        self.text((LEFT, 72.0), size, INK, r#"font-weight="700""#, &title);
        let grace = &explanation.grace_period;
        let grace = if grace.after > grace.before {
            format!("grace period {} \u{2192} {}", time(grace.before), time(grace.after))
        } else {
            format!("grace period {}", time(grace.after))
        };
        let subtitle =
            format!("From its deletion to the last kill, without Fermata and with it \u{b7} {grace}");
        self.text((LEFT, 106.0), 20.0, FAINT, "", &subtitle);
    }

    /// Slanting stripes, to fill bars with.
    fn pattern(&mut self, id: &str, ground: &str, stripe: &str) {
        put!(
            self.svg,
            r#"<defs><pattern id="{id}" width="10" height="10" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="10" height="10" fill="{ground}"/><rect width="4" height="10" fill="{stripe}"/></pattern></defs>"#
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "a pixel is coarser than any rounding here")]
    fn x(&self, moment: i64) -> f64 {
        BARS + (RIGHT - BARS) * (moment as f64 / self.end as f64)
    }

    fn axis(&mut self, bottom: f64) {
        let tick = tick(self.end, 10);
        let mut moment = 0;
        while moment <= self.end {
            let x = self.x(moment);
            put!(
                self.svg,
                r#"<line x1="{x:.1}" y1="{AXIS}" x2="{x:.1}" y2="{bottom:.1}" stroke="{GRID}" stroke-width="1.5"/>"#
            );
            let anchor = r#"text-anchor="middle" font-variant-numeric="tabular-nums""#;
            self.text((x, AXIS - 10.0), 15.0, FAINT, anchor, &time(moment));
            let Some(next) = moment.checked_add(tick) else { break };
            moment = next;
        }
        self.text((LEFT, AXIS - 10.0), 15.0, FAINT, "", "deleted");
    }

    fn track(&mut self, track: &Track<'_>, top: f64, lane: f64) {
        let container = track.container;
        let size = (lane * 0.2).clamp(16.0, 22.0);
        let name = if container.kind == "container" {
            container.name.clone()
        } else {
            format!("{} ({})", container.name, container.kind)
        };
        let name = cut(&name, size, (RIGHT - LEFT) * 0.45);
        let because_size = (size - 4.0).max(13.0);
        let room = RIGHT - LEFT - width(&name, size) - 24.0;
        let halo = format!(r#"font-weight="600" stroke="{PAPER}" stroke-width="6" paint-order="stroke""#);
        self.text((LEFT, top + size), size, INK, &halo, &name);
        let because = cut(&container.because, because_size, room);
        // The paper shines through around the letters, so that no grid line runs through them.
        let halo = format!(r#"text-anchor="end" stroke="{PAPER}" stroke-width="6" paint-order="stroke""#);
        self.text((RIGHT, top + size), because_size, FAINT, &halo, &because);

        let mut bars_top = top + size + 9.0;
        if let Some(shim) = container.shim.as_ref().filter(|_| lane >= ROOM_FOR_SHIM) {
            bars_top += because_size + 6.0;
            let colon = if shim.stop.is_empty() { "" } else { ": " };
            let text = format!("{}{colon}{}", shim.because, shim.stop.join("; "));
            let text = cut(&text, because_size, RIGHT - LEFT);
            self.text((RIGHT, bars_top - 9.0), because_size, FAINT, &halo, &text);
        }
        let height = ((top + lane - bars_top - 14.0 - 6.0) / 2.0).clamp(12.0, 60.0);
        match &track.after {
            None => self.course("unchanged", &track.before, bars_top, height),
            Some(after) => {
                self.course("before", &track.before, bars_top, height);
                self.course("after", after, bars_top + height + 6.0, height);
            }
        }
    }

    fn course(&mut self, label: &str, course: &Course, top: f64, height: f64) {
        let middle = top + height / 2.0;
        let size = (height * 0.5).clamp(11.0, 18.0);
        self.text((LEFT, middle + size * 0.35), size.clamp(13.0, 16.0), FAINT, "", label);
        let failing = course.spans.iter().any(|span| span.what == What::Failing);
        for span in &course.spans {
            let mut span = *span;
            // The app's own time begins with the stop signal, and the requests that still arrive fall into it.
            let half = failing && matches!(span.what, What::Failing | What::Ending);
            if let (What::Ending, Some(stop)) = (span.what, course.stop) {
                span.from = stop;
            }
            let (x, to) = (self.x(span.from), self.x(span.to));
            let (fill, ink) = paint(span.what);
            let (top, height) = match span.what {
                _ if !half => (top, height),
                What::Failing => (top, height / 2.0),
                _ => (top + height / 2.0, height / 2.0),
            };
            if half && span.what == What::Ending {
                let beside =
                    self.x(course.spans.iter().rfind(|span| span.what == What::Failing).map_or(0, |s| s.to));
                self.rectangle((beside, top - height), (to - beside, height), fill);
            }
            self.rectangle((x, top), (to - x, height), fill);
            let size = if half { size * 0.85 } else { size };
            let length = time(span.to - span.from);
            // The mark of the stop signal takes a little room at either end.
            let fits = |text: &String| width(text, size) + 28.0 <= to - x && size <= height;
            if let Some(text) = words(span.what, &length).into_iter().find(fits) {
                let anchor = r#"text-anchor="middle""#;
                self.text((x.midpoint(to), top + height / 2.0 + size * 0.35), size, ink, anchor, &text);
            }
        }
        if let Some(stop) = course.stop {
            self.stop(self.x(stop), top, height);
        }
        self.kill(self.x(course.kill), middle, (height * 0.32).clamp(7.0, 9.0));
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        put!(
            self.svg,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        );
    }

    /// A flag on a line.
    fn stop(&mut self, x: f64, top: f64, height: f64) {
        let flag = (height * 0.36).min(11.0);
        put!(
            self.svg,
            r#"<path d="M{x:.1} {:.1}v{:.1}" stroke="{STOP}" stroke-width="3"/><path d="M{:.1} {:.1}h{:.1}l-{flag:.1} {flag:.1}z" fill="{STOP}"/>"#,
            top - 3.0,
            height + 6.0,
            x - flag,
            top - 4.0,
            2.0 * flag,
        );
    }

    /// A cross in a circle.
    fn kill(&mut self, x: f64, y: f64, radius: f64) {
        let arm = radius * 0.42;
        put!(
            self.svg,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{KILL}" stroke="{PAPER}" stroke-width="2"/><path d="M{:.1} {:.1}l{:.1} {:.1}m0 -{:.1}l-{:.1} {:.1}" stroke="{PAPER}" stroke-width="2" stroke-linecap="round" fill="none"/>"#,
            x - arm,
            y - arm,
            2.0 * arm,
            2.0 * arm,
            2.0 * arm,
            2.0 * arm,
            2.0 * arm,
        );
    }

    fn legend(&mut self, legend: &[What]) {
        let size = 15.0;
        let (mut x, mut y) = (LEFT, 626.0);
        let mut place = |meaning: &str| {
            let needed = 26.0 + width(meaning, size) + 30.0;
            if x + needed - 30.0 > RIGHT {
                (x, y) = (LEFT, y + 31.0);
            }
            let at = (x, y);
            x += needed;
            at
        };
        let spans: Vec<_> = legend.iter().map(|&what| (what, place(what.meaning()))).collect();
        let (stop, kill) = (place("stop signal"), place("kill"));
        for (what, (x, y)) in spans {
            let (fill, _) = paint(what);
            put!(
                self.svg,
                r#"<rect x="{x:.1}" y="{:.1}" width="18" height="18" rx="2" fill="{fill}"/>"#,
                y - 14.0
            );
            self.text((x + 26.0, y), size, INK, "", what.meaning());
        }
        self.stop(stop.0 + 9.0, stop.1 - 13.0, 15.0);
        self.text((stop.0 + 26.0, stop.1), size, INK, "", "stop signal");
        self.kill(kill.0 + 9.0, kill.1 - 5.0, 9.0);
        self.text((kill.0 + 26.0, kill.1), size, INK, "", "kill");
    }

    fn text(&mut self, (x, y): (f64, f64), size: f64, fill: &str, attributes: &str, text: &str) {
        put!(
            self.svg,
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size:.0}" fill="{fill}" {attributes}>{}</text>"#,
            escaped(text)
        );
    }
}

/// The colour of a bar, and of text on it.
const fn paint(what: What) -> (&'static str, &'static str) {
    match what {
        What::Serving => ("#2b8a66", "#ffffff"),
        What::MayServe => ("url(#early)", "#ffffff"),
        What::Failing => ("url(#failing)", "#ffffff"),
        What::Ending => ("#c3cfdd", INK),
        What::OwnHook => ("#e5c16c", INK),
        What::Waiting => ("#8fc4ae", INK),
    }
}

/// What is written on a bar that lasts so long, if there is room, and if there is less.
fn words(what: What, length: &str) -> [String; 2] {
    match what {
        What::Serving => [format!("goes on serving, {length}"), length.to_owned()],
        What::MayServe => [format!("may end early, at most {length}"), "may end early".to_owned()],
        // How long they do is a guess that no number should dress up.
        What::Failing => ["requests may still arrive: 502s".to_owned(), "502s".to_owned()],
        What::Ending => [format!("the app's own time, {length}"), length.to_owned()],
        What::OwnHook => [format!("its own hook, at most {length}"), format!("at most {length}")],
        What::Waiting => {
            [format!("until the others have ended, at most {length}"), format!("at most {length}")]
        }
    }
}

/// How wide a text is at most, in any of the fonts.
fn width(text: &str, size: f64) -> f64 {
    let characters = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    f64::from(characters) * size * 0.6
}

/// As much of a text as has room.
fn cut(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        cut.push(c);
        if width(&cut, size) + size > room {
            break;
        }
    }
    cut.trim_end().to_owned() + "\u{2026}"
}

/// Text for XML, which has no control characters at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{cut, escaped, width};

    #[test]
    fn text_cannot_break_the_picture() {
        assert_eq!(escaped("a<b>&\"\u{1}"), "a&lt;b&gt;&amp;&quot; ");
        let cut = cut(&"x".repeat(500), 20.0, 300.0);
        assert!(width(&cut, 20.0) <= 300.0 + 20.0 && cut.ends_with('\u{2026}'));
    }
}
