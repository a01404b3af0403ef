"""Looking into datasets: their rows in pages, what their columns hold, and questions in SQL."""
