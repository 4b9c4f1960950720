"""The live page: trained networks that run in the browser, on a listener's own music."""
