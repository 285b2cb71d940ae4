from dashboard.guide import page

page()
