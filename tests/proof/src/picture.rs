//! The picture: failed requests and shutdown time, before and after. It brings its own paper, so that it can be read on
//! light and on dark pages.

use std::fmt::Write as _;

use crate::{
    app::App,
    cell::{Cell, Disturbance, Treatment},
    proxy::Upstream,
    report::{Report, figure},
    summary::{Figure, Summary},
};

const WIDTH: f64 = 1280.0;
const LEFT: f64 = 48.0;

/// Where the first row begins, and how high a row is: two bars, and room around them.
const TOP: f64 = 168.0;
const ROW: f64 = 56.0;
const BAR: f64 = 18.0;

/// Where the two charts begin, and how long their longest bars are. Behind them is room for a figure.
const CHARTS: [f64; 2] = [350.0, 800.0];
const LONGEST: f64 = 240.0;

const INK: &str = "#1d2733";
const FAINT: &str = "#5d6b7a";
const GRID: &str = "#dfe3e8";
const PAPER: &str = "#fdfcf9";
const BEFORE: &str = "#d8453f";
const AFTER: &str = "#2b8a66";

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, $($text)*); }};
}

/// A figure of a cell, its digits behind the point, and its unit.
type Measure = (fn(&Summary) -> Figure, usize, &'static str);

/// One line of the picture.
struct Row<'a> {
    app: App,
    upstream: Upstream,
    before: &'a Summary,
    after: &'a Summary,
}

/// Draws the rolling restarts.
pub(crate) fn draw(report: &Report) -> String {
    let rows = rows(report);
    let height = TOP + ROW * f64::from(u16::try_from(rows.len()).unwrap_or(u16::MAX)) + 64.0;
    let mut svg = String::new();
    put!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif" role="img">"#
    );
    put!(
        svg,
        "<title>Failed requests and shutdown time in rolling restarts, without Fermata and with it</title>"
    );
    put!(svg, r#"<rect width="{WIDTH}" height="{height}" rx="12" fill="{PAPER}"/>"#);
    text(
        &mut svg,
        (LEFT, 56.0),
        30.0,
        INK,
        r#"font-weight="700""#,
        "A rolling restart of 3 replicas under load",
    );
    let subtitle = format!(
        "{} requests a second of 50 ms through nginx to a Service, on a real node \u{b7} median of the runs, line to the worst",
        report.rate
    );
    text(&mut svg, (LEFT, 86.0), 17.0, FAINT, "", &subtitle);
    for (x, fill, words) in
        [(LEFT, BEFORE, "nothing done"), (LEFT + 160.0, AFTER, "Fermata, shim and profile")]
    {
        put!(svg, r#"<rect x="{x}" y="104" width="16" height="16" rx="2" fill="{fill}"/>"#);
        text(&mut svg, (x + 24.0, 118.0), 15.0, INK, "", words);
    }
    let titles = ["failed requests", "longest shutdown of a Pod"];
    for (x, title) in CHARTS.into_iter().zip(titles) {
        text(&mut svg, (x, TOP - 16.0), 17.0, INK, r#"font-weight="600""#, title);
    }
    let measures: [Measure; 2] =
        [(|summary| summary.failed, 0, ""), (|summary| summary.longest_ending, 1, " s")];
    let mut y = TOP;
    for row in &rows {
        put!(
            svg,
            r#"<line x1="{LEFT}" y1="{y}" x2="{}" y2="{y}" stroke="{GRID}" stroke-width="1.5"/>"#,
            WIDTH - LEFT
        );
        let app = row.app.words().replace('`', "");
        text(&mut svg, (LEFT, y + 24.0), 16.0, INK, r#"font-weight="600""#, &app);
        let upstream = match row.upstream {
            Upstream::Kept => "the proxy keeps connections",
            Upstream::Closed => "a connection for each request",
        };
        let once = [row.before, row.after].iter().any(|summary| summary.runs.len() == 1);
        let upstream = format!("{upstream}{}", if once { " \u{b7} one run" } else { "" });
        text(&mut svg, (LEFT, y + 45.0), 14.0, FAINT, "", &upstream);
        for (x, (measure, digits, unit)) in CHARTS.into_iter().zip(measures) {
            let highest = rows
                .iter()
                .flat_map(|row| [measure(row.before).worst, measure(row.after).worst])
                .fold(1.0, f64::max);
            let bars = [(row.before, BEFORE, y + 9.0), (row.after, AFTER, y + 30.0)];
            for (summary, fill, top) in bars {
                if summary.runs.is_empty() {
                    text(&mut svg, (x, top + BAR / 2.0 + 5.0), 14.0, FAINT, "", "void");
                    continue;
                }
                let value = measure(summary);
                let killed = if unit.is_empty() || summary.killed == 0 { "" } else { ", killed" };
                let words = format!("{}{unit}{killed}", figure(value, digits));
                bar(&mut svg, (x, top), value, highest, fill, &words);
            }
        }
        y += ROW;
    }
    let source =
        format!("make proof \u{b7} Kubernetes {} \u{b7} {}", report.kubernetes, report.machine.in_short());
    text(&mut svg, (LEFT, height - 24.0), 14.0, FAINT, "", &source);
    svg + "</svg>\n"
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for app in App::ALL {
        for upstream in Upstream::ALL {
            let find =
                |treatment| report.find(Cell { disturbance: Disturbance::Rollout, app, upstream, treatment });
            if let (Some(before), Some(after)) = (find(Treatment::Nothing), find(Treatment::Shim)) {
                rows.push(Row { app, upstream, before, after });
            }
        }
    }
    rows
}

fn bar(svg: &mut String, (x, y): (f64, f64), value: Figure, highest: f64, fill: &str, words: &str) {
    // Nothing is a thin line, so that it can be seen to be there.
    let length = (value.median / highest * LONGEST).max(2.0);
    let worst = (value.worst / highest * LONGEST).max(length);
    let middle = y + BAR / 2.0;
    put!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{length:.1}" height="{BAR}" fill="{fill}"/>"#);
    if worst > length + 1.0 {
        put!(
            svg,
            r#"<path d="M{:.1} {middle:.1}H{:.1}m0 -5v10" stroke="{fill}" stroke-width="2" fill="none"/>"#,
            x + length,
            x + worst
        );
    }
    text(svg, (x + worst + 8.0, middle + 5.0), 14.0, INK, r#"font-variant-numeric="tabular-nums""#, words);
}

fn text(svg: &mut String, (x, y): (f64, f64), size: f64, fill: &str, attributes: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    put!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" font-size="{size:.0}" fill="{fill}" {attributes}>{words}</text>"#
    );
}
