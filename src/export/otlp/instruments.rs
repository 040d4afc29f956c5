//! Every entry of the catalogue as an instrument that is read when figures are pushed.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::naming;
use crate::export::label::shown;
use crate::metrics::catalog::{self, Kind, Metric};
use crate::metrics::published::Published;

/// Registers them all; each reads the last snapshot.
pub(super) fn register(meter: &Meter, published: &Published) {
    for metric in catalog::all() {
        let (name, unit, published) = (naming::name(metric), naming::unit(metric), published.clone());
        let read = move |instrument: &dyn AsyncInstrument<f64>| observe(metric, &published, instrument);
        match metric.kind {
            Kind::Counter => {
                meter
                    .f64_observable_counter(name)
                    .with_unit(unit)
                    .with_description(metric.help)
                    .with_callback(read)
                    .build();
            }
            Kind::Gauge => {
                meter
                    .f64_observable_gauge(name)
                    .with_unit(unit)
                    .with_description(metric.help)
                    .with_callback(read)
                    .build();
            }
        }
    }
}

fn observe(metric: &Metric, published: &Published, instrument: &dyn AsyncInstrument<f64>) {
    let snapshot = published.load();
    metric.samples(&snapshot, published.exports(), &mut |labels, value| {
        let attributes: Vec<KeyValue> = labels
            .iter()
            .map(|(name, value)| KeyValue::new(*name, shown(value).into_owned()))
            .collect();
        instrument.observe(value, &attributes);
    });
}
