from dashboard.tokens.page import page

page()
