//! A Bitrix24 portal in memory behind HTTP: an independent witness for tests and the demo.
