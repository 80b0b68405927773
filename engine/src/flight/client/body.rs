//! What is sent in one exchange.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_flight::FlightData;
use futures::Stream;
use futures::stream::BoxStream;

/// A stream whose type names no lifetime: the compiler cannot tell otherwise, inside a future, that it has none.
pub struct Body(pub BoxStream<'static, FlightData>);

impl Stream for Body {
    type Item = FlightData;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<FlightData>> {
        self.0.as_mut().poll_next(context)
    }
}
