//! The report's plots, as SVG: logarithmic axes, a colour and a mark for each guest.

use super::data::{Asked, Data, LoadPoint};
use crate::guest::Guest;
use crate::load::{Kind, float};
use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Percentile = fn(&LoadPoint) -> f64;
/// Points of a curve.
type Points = Vec<(f64, f64)>;

/// Files' names.
pub(super) const CONNECTIONS: &str = "connections";
pub(super) const SIZES: &str = "netpipe";
const FONT: &str = "sans-serif";
const PANEL: (u32, u32) = (560, 440);
/// Height of the strip above the charts that says which line is whose.
const LEGEND: u32 = 40;
/// Width of an entry in it: the mark and what is around it, and a letter.
const ENTRY: (i32, i32) = (48, 7);

/// A chart on two logarithmic axes.
struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    curves: Vec<(Guest, Points)>,
}

struct Axis {
    title: &'static str,
    label: fn(f64) -> String,
}

/// How a guest is drawn.
fn colour(guest: Guest) -> RGBColor {
    match guest {
        Guest::Ixion => RGBColor(0x1b, 0x7f, 0x5c),
        Guest::LinuxHosted => RGBColor(0x6a, 0x5a, 0xb8),
        Guest::Reflector => RGBColor(0x88, 0x88, 0x88),
        _ => RGBColor(0xd0, 0x5a, 0x10),
    }
}

/// Draws all into the folder.
pub(super) fn draw(data: &Data, folder: &Path) -> Result<()> {
    for asked in Asked::ALL {
        save(&loads(data, asked), folder, asked.name())?;
    }
    save(&[connections(data)], folder, CONNECTIONS)?;
    save(&sizes(data), folder, SIZES)
}

/// The charts beside each other; those without any point are not drawn.
fn save(charts: &[Chart], folder: &Path, name: &str) -> Result<()> {
    if charts.iter().all(|chart| chart.range(|(x, _)| x).is_none()) {
        return Ok(());
    }
    let file = folder.join(name).with_extension("svg");
    let panels = u32::try_from(charts.len())?;
    let root = SVGBackend::new(&file, (PANEL.0 * panels, PANEL.1 + LEGEND)).into_drawing_area();
    let drawn = draw_all(&root, charts).and_then(|()| root.present().map_err(|error| anyhow!("{error}")));
    drawn.with_context(|| format!("cannot draw {}", file.display()))
}

fn draw_all(root: &Area<'_>, charts: &[Chart]) -> Result<()> {
    root.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
    let (legend, below) = root.split_vertically(LEGEND);
    if let Some(chart) = charts.first() {
        chart.draw_legend(&legend)?;
    }
    let areas = below.split_evenly((1, charts.len()));
    areas
        .iter()
        .zip(charts)
        .try_for_each(|(area, chart)| chart.draw(area, charts))
}

/// Latency over the offered load, a chart for each percentile.
fn loads(data: &Data, asked: Asked) -> Vec<Chart> {
    let percentiles: [(&str, Percentile); 3] = [
        ("p50", |point| point.p50_us),
        ("p99", |point| point.p99_us),
        ("p99.9", |point| point.p999_us),
    ];
    let chart = |(name, latency): (&str, Percentile)| Chart {
        title: format!("{}: {name}", asked.title()),
        x: Axis {
            title: "offered load, requests/s",
            label: count,
        },
        y: Axis {
            title: "latency",
            label: microseconds,
        },
        curves: [Guest::LinuxTuned, Guest::LinuxHosted, Guest::Ixion]
            .map(|guest| {
                let curve = data.curve(guest, asked);
                let points = curve.iter().map(|point| (point.offered_per_s, latency(point)));
                (guest, points.collect())
            })
            .into(),
    };
    percentiles.map(chart).into()
}

/// Requests per second over connections.
fn connections(data: &Data) -> Chart {
    let guests = [
        Guest::LinuxTuned,
        Guest::LinuxHosted,
        Guest::Ixion,
        Guest::Reflector,
    ];
    Chart {
        title: "echo, 64 bytes, at most 100 requests out".to_owned(),
        x: Axis {
            title: "connections",
            label: count,
        },
        y: Axis {
            title: "requests/s",
            label: count,
        },
        curves: guests
            .map(|guest| {
                let counts = data.connection_counts().into_iter();
                let points = counts.filter_map(|connections| {
                    let rate = data.closed_loop(guest, Kind::Tcp, connections, |point| point.rate_per_s)?;
                    Some((float(connections as u64), rate))
                });
                (guest, points.collect())
            })
            .into(),
    }
}

/// Goodput and time over the size of a message.
fn sizes(data: &Data) -> [Chart; 2] {
    let chart = |title: &str, y, figure: fn(&super::data::SizePoint) -> f64| Chart {
        title: title.to_owned(),
        x: Axis {
            title: "message size, bytes",
            label: count,
        },
        y,
        curves: [Guest::LinuxTuned, Guest::LinuxHosted, Guest::Ixion]
            .map(|guest| {
                let curve = data.sizes(guest);
                let points = curve.iter().map(|point| (f64::from(point.bytes), figure(point)));
                (guest, points.collect())
            })
            .into(),
    };
    let goodput = Axis {
        title: "Mbit/s",
        label: count,
    };
    let time = Axis {
        title: "one way, median",
        label: microseconds,
    };
    [
        chart("ping-pong: goodput", goodput, |point| point.goodput_mbit_s),
        chart("ping-pong: time", time, |point| point.median_us),
    ]
}

impl Chart {
    /// From the least to the largest of a coordinate that can be drawn, over all curves.
    fn range(&self, coordinate: fn((f64, f64)) -> f64) -> Option<Range<f64>> {
        let all = || {
            let points = self.curves.iter().flat_map(|(_, points)| points);
            points.map(|&point| coordinate(point)).filter(|&at| at > 0.0)
        };
        Some(all().reduce(f64::min)?..all().reduce(f64::max)?)
    }

    /// Among those beside it; the same quantity has the same axis.
    fn draw(&self, area: &Area<'_>, beside: &[Chart]) -> Result<()> {
        let alike = beside.iter().filter(|chart| chart.y.title == self.y.title);
        let y = alike
            .filter_map(|chart| chart.range(|(_, y)| y))
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        let (Some(x), Some(y)) = (self.range(|(x, _)| x), y) else {
            return Ok(());
        };
        let (x, y) = (x.start / 1.3..x.end * 1.3, decades(&y));
        let failed = |error: DrawingAreaErrorKind<_>| anyhow!("{error}");
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 18))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(x.log_scale(), y.log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(self.x.title)
            .y_desc(self.y.title)
            .x_label_formatter(&|&at| (self.x.label)(at))
            .y_label_formatter(&|&at| (self.y.label)(at))
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .bold_line_style(BLACK.mix(0.18))
            .light_line_style(BLACK.mix(0.06))
            .draw()
            .map_err(failed)?;
        for (guest, points) in &self.curves {
            let line = colour(*guest).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), line))
                .map_err(failed)?;
            // A mark each, for those who do not see the colours.
            let at = points.iter().copied();
            let marked = match guest {
                Guest::Ixion => chart.draw_series(at.map(|at| Circle::new(at, 4, line.filled()))),
                Guest::LinuxHosted => {
                    chart.draw_series(at.map(|at| TriangleMarker::new(at, 5, line.filled())))
                }
                _ => chart.draw_series(at.map(|at| Cross::new(at, 4, line))),
            };
            marked.map_err(failed)?;
        }
        Ok(())
    }

    /// A line, a mark and a title for each curve, side by side.
    fn draw_legend(&self, area: &Area<'_>) -> Result<()> {
        let failed = |error: DrawingAreaErrorKind<_>| anyhow!("{error}");
        let y = 22;
        let shown = self.curves.iter().filter(|(_, points)| !points.is_empty());
        let mut x = 24;
        for (guest, _) in shown {
            let line = colour(*guest).stroke_width(2);
            area.draw(&PathElement::new([(x, y), (x + 28, y)], line))
                .map_err(failed)?;
            let middle = (x + 14, y);
            let marked = match guest {
                Guest::Ixion => area.draw(&Circle::new(middle, 4, line.filled())),
                Guest::LinuxHosted => area.draw(&TriangleMarker::new(middle, 5, line.filled())),
                _ => area.draw(&Cross::new(middle, 4, line)),
            };
            marked.map_err(failed)?;
            area.draw(&Text::new(guest.title(), (x + 36, y - 7), (FONT, 14)))
                .map_err(failed)?;
            x += ENTRY.0 + ENTRY.1 * i32::try_from(guest.title().len())?;
        }
        Ok(())
    }
}

/// Out to the next powers of ten, lest an axis be without a label.
fn decades(range: &Range<f64>) -> Range<f64> {
    let first = range.start.log10().floor();
    let last = range.end.log10().ceil().max(first + 1.0);
    10_f64.powf(first)..10_f64.powf(last)
}

/// `20k` and the like.
fn count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

fn microseconds(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} s", value / 1e6),
        value if value >= 1e3 => format!("{} ms", value / 1e3),
        value => format!("{value} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, decades, microseconds};

    #[test]
    fn axes_begin_and_end_at_powers_of_ten() {
        let range = decades(&(30.0..4_000.0));
        assert!((range.start - 10.0).abs() < 1e-9 && (range.end - 10_000.0).abs() < 1e-9);
        let point = decades(&(10.0..10.0));
        assert!((point.start - 10.0).abs() < 1e-9 && (point.end - 100.0).abs() < 1e-9);
    }

    #[test]
    fn labels_have_their_units() {
        assert_eq!([1.0, 200.0, 5_000.0, 2e6].map(count), ["1", "200", "5k", "2M"]);
        assert_eq!([50.0, 1_000.0, 1e6].map(microseconds), ["50 µs", "1 ms", "1 s"]);
    }
}
