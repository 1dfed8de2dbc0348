"""Everything around the GAN: sources, the ingested store, the five stages, metrics, formats, report and the CLI."""
