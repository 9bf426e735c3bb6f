"""The application's graph: what users write (`deployment`, `application`), what it comes to (`describe`), and how it
leaves the process in which their code was imported (`definition`, `build`, `result`)."""
